#include "base/random.h"
#include "model/network.h"

#include <math.h>

/* Elements [first, end) of a tensor, into out[0] and on. `tensor`: a number of its own in the
 * model, so that no two draw the same. */
typedef struct stretch {
    size_t first, end;
    uint64_t seed, tensor;
    float *out;
} stretch;

/* Four elements come of a block. */
static bool begins_block(const stretch *of, size_t index) {
    return index % 4 == 0 || index == of->first;
}

static void uniform(const stretch *of, float bound) {
    uint32_t block[4];
    for (size_t index = of->first; index < of->end; index++) {
        if (begins_block(of, index))
            random_block(of->seed, RANDOM_INITIALISATION, of->tensor, index / 4, block);
        of->out[index - of->first] = (2.0f * random_unit(block[index % 4]) - 1.0f) * bound;
    }
}

/* Every rank draws for itself, and a C library's own logarithm and cosine may have other last bits
 * on another CPU or in another version. These are series in double of additions, products and
 * quotients, which are the same everywhere (this file is compiled without contraction), and good to
 * a few units in the last place, far more than a float keeps. */

/* x in (0, 1]. With x = m 2^e, m in [1/sqrt(2), sqrt(2)): log m = 2 atanh((m - 1) / (m + 1)). */
static double logarithm(double x) {
    enum { TERMS = 12 };
    const double log_2 = 0x1.62e42fefa39efp-1, least = 0x1.6a09e667f3bcdp-1;
    int exponent;
    double m = frexp(x, &exponent); /* exact; in [1/2, 1) */
    if (m < least) {
        m *= 2;
        exponent--;
    }
    double s = (m - 1) / (m + 1), square = s * s, sum = 0;
    for (int term = TERMS; term >= 0; term--)
        sum = sum * square + 1.0 / (2 * term + 1);
    return 2 * s * sum + exponent * log_2;
}

/* Cosine and sine of `turns` whole turns, in [0, 1): of an eighth of a turn at most by Taylor's
 * series, of the rest by symmetry. */
static void cosine_and_sine(double turns, double *cosine, double *sine) {
    enum { TERMS = 9 };
    const double pi_half = 0x1.921fb54442d18p+0;
    int quarter = (int)(4 * turns + 0.5); /* the nearest */
    double x = (4 * turns - quarter) * pi_half, square = x * x, c = 0, s = 0;
    for (int term = TERMS; term > 0; term--) {
        c = (1 + c) * -square / ((2 * term - 1) * (2 * term));
        s = (1 + s) * -square / ((2 * term) * (2 * term + 1));
    }
    c = 1 + c;
    s = x * (1 + s);
    const double all[4][2] = {{c, s}, {-s, c}, {-c, -s}, {s, -c}};
    *cosine = all[quarter % 4][0];
    *sine = all[quarter % 4][1];
}

/* Two of 32 bits each (Box and Muller, "A Note on the Generation of Random Normal Deviates",
 * 1958). */
static void normal_pair(uint32_t length, uint32_t angle, double out[2]) {
    double radius = sqrt(-2 * logarithm((length + 1.0) * 0x1p-32));
    cosine_and_sine(angle * 0x1p-32, &out[0], &out[1]);
    out[0] *= radius;
    out[1] *= radius;
}

static void normal(const stretch *of, float deviation) {
    uint32_t block[4];
    double drawn[4];
    for (size_t index = of->first; index < of->end; index++) {
        if (begins_block(of, index)) {
            random_block(of->seed, RANDOM_INITIALISATION, of->tensor, index / 4, block);
            normal_pair(block[0], block[1], drawn);
            normal_pair(block[2], block[3], drawn + 2);
        }
        of->out[index - of->first] = (float)(drawn[index % 4] * deviation);
    }
}

static void initialise(const graph_initialiser *by, const stretch *of) {
    switch (by->kind) {
    case INITIALISE_CONSTANT:
        for (size_t index = of->first; index < of->end; index++)
            of->out[index - of->first] = by->value;
        break;
    case INITIALISE_UNIFORM:
        uniform(of, by->value);
        break;
    case INITIALISE_NORMAL:
        normal(of, by->value);
    }
}

/* Trained tensors are numbered by themselves, buffers from the other end: a model whose layers get
 * buffers begins with the same weights. */
static void initialise_array(const graph *graph, uint64_t seed, bool trained, size_t first,
                             size_t count, float *out) {
    uint64_t number = 0;
    size_t end = first + count;
    for (int record = 0; record < graph->record_count; record++) {
        const graph_parameter *of = &graph->parameters[record];
        if (of->trained != trained)
            continue;
        size_t from = first > of->first ? first : of->first;
        size_t to = end < of->first + of->count ? end : of->first + of->count;
        stretch part = {.first = from - of->first,
                        .end = to - of->first,
                        .seed = seed,
                        .tensor = trained ? number : ~number,
                        .out = out + (from - first)};
        if (from < to)
            initialise(&of->initialiser, &part);
        number++;
    }
}

void network_initialise_part(const graph *graph, uint64_t seed, size_t first, size_t count,
                             float *out) {
    initialise_array(graph, seed, true, first, count, out);
}

void network_initialise(const graph *graph, uint64_t seed, float *parameters) {
    initialise_array(graph, seed, true, 0, graph->parameter_count, parameters);
}

void network_initialise_buffers(const graph *graph, uint64_t seed, float *buffers) {
    initialise_array(graph, seed, false, 0, graph->buffer_count, buffers);
}
