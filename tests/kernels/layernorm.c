/* Layer normalisation's launchers: y and all gradients against double, for rows in registers and
 * for those that are not, for few blocks and for many, at addresses that allow vectors and that do
 * not; twice with the same bits. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct row_case {
    dtype type;
    size_t rows;
    int channels, processors;
    size_t skew; /* of tensors, in elements, and of parameters */
} row_case;

static const double EPSILON = 1e-6;

typedef struct row_input {
    void *x, *dy;
    float *gamma, *beta;
} row_input;

typedef struct row_output {
    void *y, *dx;
    float *dgamma, *dbeta;
} row_output;

static size_t count_of(const row_case *t) {
    return t->rows * (size_t)t->channels;
}

/* Rows lie around three times their number. */
static row_input input_of(const row_case *t) {
    float *x = random_values(count_of(t), 60), *dy = random_values(count_of(t), 61);
    for (size_t i = 0; i < count_of(t); i++)
        x[i] += 3 * (float)(i / (size_t)t->channels % 3);
    row_input in = {encoded(t->type, x, count_of(t)), encoded(t->type, dy, count_of(t)),
                    random_values((size_t)t->channels, 62), random_values((size_t)t->channels, 63)};
    free(x), free(dy);
    return in;
}

static float *floats_at(const memory *of) {
    return (float *)of->at;
}

static row_output run(const row_case *t, const row_input *in, bool wants_dx) {
    size_t bytes = count_of(t) * dtype_bytes(t->type), skew = t->skew * dtype_bytes(t->type);
    size_t channels = (size_t)t->channels * sizeof(float), odd = t->skew * sizeof(float);
    memory x = memory_new(bytes, skew, in->x), dy = memory_new(bytes, skew, in->dy);
    memory y = memory_new(bytes, skew, NULL), dx = memory_new(bytes, skew, NULL);
    memory gamma = memory_new(channels, odd, in->gamma), beta = memory_new(channels, odd, in->beta);
    memory dgamma = memory_new(channels, odd, NULL), dbeta = memory_new(channels, odd, NULL);
    memory state = memory_new(kernel_layernorm_state_bytes(t->rows), 0, NULL);
    memory workspace = memory_new(kernel_layernorm_workspace(t->processors, t->channels), 0, NULL);
    layernorm_arguments arguments = {t->rows, t->channels, EPSILON, floats_at(&gamma),
                                     floats_at(&beta)};
    layernorm_gradients gradients = {x.at, dy.at, wants_dx ? dx.at : NULL, floats_at(&dgamma),
                                     floats_at(&dbeta)};
    MUST(kernel_layernorm_forward(NULL, t->type, &arguments, x.at, y.at, state.at));
    MUST(kernel_layernorm_backward(NULL, t->processors, t->type, &arguments, &gradients, state.at,
                                   workspace.at));
    row_output out = {zeroed(bytes), zeroed(bytes), zeroed(channels), zeroed(channels)};
    memory_get(&y, out.y), memory_get(&dx, out.dx);
    memory_get(&dgamma, out.dgamma), memory_get(&dbeta, out.dbeta);
    memory *all[] = {&x, &dy, &y, &dx, &gamma, &beta, &dgamma, &dbeta, &state, &workspace, NULL};
    for (memory **each = all; *each; each++)
        memory_free(*each);
    return out;
}

static void output_free(row_output *out) {
    free(out->y), free(out->dx), free(out->dgamma), free(out->dbeta);
}

/* How far a value may be from what was stored of it. */
static void expect_near(const row_case *t, const char *what, const void *got, size_t at,
                        double want) {
    double unit = t->type == DTYPE_BF16 ? 0x1p-8 : t->type == DTYPE_F16 ? 0x1p-11 : 0x1p-20;
    double found = (double)get(t->type, got, at);
    expect(fabs(found - want) <= unit * fabs(want) + 1e-4, "%s[%zu] is %g, expected %g", what, at,
           found, want);
}

/* A row's y and dx, and its part of the parameters' gradients. */
static void compare_row(const row_case *t, const row_input *in, const row_output *got, size_t row,
                        double *dgamma, double *dbeta) {
    size_t channels = (size_t)t->channels, first = row * channels;
    double mean = 0, variance = 0, sum = 0, product = 0, count = (double)channels;
    for (size_t c = 0; c < channels; c++)
        mean += (double)get(t->type, in->x, first + c) / count;
    for (size_t c = 0; c < channels; c++)
        variance += pow((double)get(t->type, in->x, first + c) - mean, 2) / count;
    double inverse = 1 / sqrt(variance + EPSILON);
    for (size_t c = 0; c < channels; c++) {
        double away = ((double)get(t->type, in->x, first + c) - mean) * inverse;
        double dy = (double)get(t->type, in->dy, first + c);
        expect_near(t, "y", got->y, first + c, away * (double)in->gamma[c] + (double)in->beta[c]);
        sum += dy * (double)in->gamma[c] / count;
        product += dy * (double)in->gamma[c] * away / count;
        dgamma[c] += dy * away;
        dbeta[c] += dy;
    }
    for (size_t c = 0; c < channels; c++) {
        double away = ((double)get(t->type, in->x, first + c) - mean) * inverse;
        double g = (double)get(t->type, in->dy, first + c) * (double)in->gamma[c];
        expect_near(t, "dx", got->dx, first + c, (g - sum - away * product) * inverse);
    }
}

static void compare(const row_case *t, const row_input *in, const row_output *got) {
    size_t channels = (size_t)t->channels;
    double *dgamma = zeroed(channels * sizeof *dgamma), *dbeta = zeroed(channels * sizeof *dbeta);
    for (size_t row = 0; row < t->rows; row++)
        compare_row(t, in, got, row, dgamma, dbeta);
    for (size_t c = 0; c < channels; c++) {
        expect(fabs((double)got->dgamma[c] - dgamma[c]) <= 1e-5 * (double)t->rows + 1e-5,
               "dgamma[%zu] is %g, expected %g", c, (double)got->dgamma[c], dgamma[c]);
        expect(fabs((double)got->dbeta[c] - dbeta[c]) <= 1e-5 * (double)t->rows + 1e-5,
               "dbeta[%zu] is %g, expected %g", c, (double)got->dbeta[c], dbeta[c]);
    }
    free(dgamma), free(dbeta);
}

static void one(const row_case *t) {
    row_input in = input_of(t);
    size_t bytes = count_of(t) * dtype_bytes(t->type);
    size_t channels = (size_t)t->channels * sizeof(float);
    row_output first = run(t, &in, true), second = run(t, &in, true), without = run(t, &in, false);
    compare(t, &in, &first);
    expect(memcmp(first.y, second.y, bytes) == 0 && memcmp(first.dx, second.dx, bytes) == 0,
           "other tensors the second time");
    expect(memcmp(first.dgamma, second.dgamma, channels) == 0 &&
               memcmp(first.dbeta, second.dbeta, channels) == 0,
           "other sums the second time");
    expect(memcmp(first.dgamma, without.dgamma, channels) == 0 &&
               memcmp(first.dbeta, without.dbeta, channels) == 0,
           "other sums without dx");
    output_free(&first), output_free(&second), output_free(&without);
    free(in.x), free(in.dy), free(in.gamma), free(in.beta);
}

void test_layernorm(void) {
    static const struct {
        size_t rows;
        int channels;
    } sizes[] = {{1, 8}, {77, 192}, {40, 384}, {35, 768}, {21, 1024}, {9, 1032}, {130, 30}};
    for (size_t type = 0; type < 3; type++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (int form = 0; form < 3; form++)
                one(&(row_case){.type = every_type[type],
                                .rows = sizes[i].rows,
                                .channels = sizes[i].channels,
                                .processors = form == 1 ? 132 : 1,
                                .skew = form == 2});
            case_done("layer norm of %s [%zu, %d]", dtype_name(every_type[type]), sizes[i].rows,
                      sizes[i].channels);
        }
}
