/* Batch normalisation's launchers: statistics, y and gradients against double, for few blocks and
 * for many, at addresses that allow vectors and that do not; twice with the same bits, and with the
 * scratch memory left fit for the next. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct norm_case {
    dtype type;
    norm_arguments of;
    int processors;
    size_t skew;
    bool joins;
} norm_case;

enum { X, OTHER, DY, TENSORS };

/* What goes in: tensors as the type holds them, and parameters, [channels] each. */
typedef struct norm_input {
    void *tensors[TENSORS];
    float *gamma, *beta, *mean, *variance;
} norm_input;

typedef struct norm_output {
    void *y, *dx, *masked;
    float *dgamma, *dbeta, *mean, *variance;
} norm_output;

static size_t count_of(const norm_case *t) {
    return t->of.rows * (size_t)t->of.channels;
}

/* A channel's values lie around `away` times its number. */
static norm_input input_of(const norm_case *t, float away) {
    norm_input in = {{NULL}, NULL, NULL, NULL, NULL};
    size_t channels = (size_t)t->of.channels;
    for (int tensor = 0; tensor < TENSORS; tensor++) {
        float *values = random_values(count_of(t), 40 + (uint64_t)tensor);
        for (size_t i = 0; tensor == X && i < count_of(t); i++)
            values[i] += away * (float)(i % channels % 3);
        in.tensors[tensor] = encoded(t->type, values, count_of(t));
        free(values);
    }
    in.gamma = random_values(channels, 50), in.beta = random_values(channels, 51);
    in.mean = random_values(channels, 52), in.variance = random_values(channels, 53);
    for (size_t c = 0; c < channels; c++)
        in.variance[c] += 2;
    return in;
}

static void input_free(norm_input *in) {
    for (int tensor = 0; tensor < TENSORS; tensor++)
        free(in->tensors[tensor]);
    free(in->gamma), free(in->beta), free(in->mean), free(in->variance);
}

static norm_output output_new(const norm_case *t) {
    size_t bytes = count_of(t) * dtype_bytes(t->type);
    size_t channels = (size_t)t->of.channels * sizeof(float);
    return (norm_output){zeroed(bytes),    zeroed(bytes),    zeroed(bytes),   zeroed(channels),
                         zeroed(channels), zeroed(channels), zeroed(channels)};
}

static void output_free(norm_output *out) {
    free(out->y), free(out->dx), free(out->masked), free(out->dgamma), free(out->dbeta);
    free(out->mean), free(out->variance);
}

static float *floats_at(const memory *of) {
    return (float *)of->at;
}

/* Forward and backward, once. */
static norm_output run(const norm_case *t, const norm_input *in, const memory *scratch) {
    size_t bytes = count_of(t) * dtype_bytes(t->type);
    size_t channels = (size_t)t->of.channels * sizeof(float);
    memory x = memory_new(bytes, t->skew, in->tensors[X]);
    memory other = memory_new(bytes, t->skew, in->tensors[OTHER]);
    memory dy = memory_new(bytes, t->skew, in->tensors[DY]);
    memory y = memory_new(bytes, t->skew, NULL), dx = memory_new(bytes, t->skew, NULL);
    memory masked = memory_new(bytes, t->skew, NULL);
    memory gamma = memory_new(channels, 4, in->gamma), beta = memory_new(channels, 4, in->beta);
    memory mean = memory_new(channels, 4, in->mean);
    memory variance = memory_new(channels, 4, in->variance);
    memory dgamma = memory_new(channels, 4, NULL), dbeta = memory_new(channels, 4, NULL);
    memory state = memory_new(kernel_norm_state_bytes(t->of.channels), 0, NULL);
    memory workspace = memory_new(kernel_norm_workspace(t->processors, t->type, &t->of), 0, NULL);
    norm_buffers buffers = {floats_at(&gamma), floats_at(&beta), floats_at(&mean),
                            floats_at(&variance)};
    norm_tensors tensors = {x.at, t->joins ? y.at : NULL, dy.at};
    MUST(kernel_norm_statistics(NULL, t->processors, t->type, &t->of, &buffers, x.at,
                                floats_at(&state), workspace.at, scratch->at));
    MUST(kernel_norm_forward(NULL, t->type, &t->of, floats_at(&state), x.at,
                             t->joins ? other.at : NULL, y.at));
    MUST(kernel_norm_gradients(NULL, t->processors, t->type, &t->of, &tensors, floats_at(&state),
                               masked.at, floats_at(&dgamma), floats_at(&dbeta), workspace.at,
                               scratch->at));
    MUST(kernel_norm_backward(NULL, t->type, &t->of, &tensors, floats_at(&state), dx.at));
    norm_output out = output_new(t);
    memory_get(&y, out.y), memory_get(&dx, out.dx), memory_get(&masked, out.masked);
    memory_get(&dgamma, out.dgamma), memory_get(&dbeta, out.dbeta);
    memory_get(&mean, out.mean), memory_get(&variance, out.variance);
    memory *all[] = {&x,    &other,    &dy,     &y,     &dx,    &masked,    &gamma, &beta,
                     &mean, &variance, &dgamma, &dbeta, &state, &workspace, NULL};
    for (memory **each = all; *each; each++)
        memory_free(*each);
    return out;
}

/* --- in double */

/* How far a value of so much may be from what was stored of it. */
static double near(dtype type, double value, double sums) {
    double unit = type == DTYPE_BF16 ? 0x1p-8 : type == DTYPE_F16 ? 0x1p-11 : 0x1p-20;
    return unit * fabs(value) + sums;
}

static double value_of(const norm_case *t, const void *tensor, size_t row, int channel) {
    return (double)get(t->type, tensor, row * (size_t)t->of.channels + (size_t)channel);
}

typedef struct channel_truth {
    double mean, variance, sum, product; /* biased; of the masked dy, and of that times x's */
} channel_truth;

static double normalised(const norm_case *t, const norm_input *in, const channel_truth *of,
                         size_t row, int c) {
    (void)t;
    return (value_of(t, in->tensors[X], row, c) - of->mean) / sqrt(of->variance + t->of.epsilon);
}

/* dy where the device's own y is positive: of a value next to zero either may be right. */
static double masked(const norm_case *t, const norm_input *in, const norm_output *got, size_t row,
                     int c) {
    bool passes = !t->of.relu || value_of(t, got->y, row, c) > 0;
    return passes ? value_of(t, in->tensors[DY], row, c) : 0;
}

static channel_truth truth_of(const norm_case *t, const norm_input *in, const norm_output *got,
                              int c) {
    channel_truth out = {0, 0, 0, 0};
    double rows = (double)t->of.rows;
    for (size_t row = 0; row < t->of.rows; row++)
        out.mean += value_of(t, in->tensors[X], row, c) / rows;
    for (size_t row = 0; row < t->of.rows; row++)
        out.variance += pow(value_of(t, in->tensors[X], row, c) - out.mean, 2) / rows;
    for (size_t row = 0; row < t->of.rows; row++) {
        double dy = masked(t, in, got, row, c);
        out.sum += dy;
        out.product += dy * normalised(t, in, &out, row, c);
    }
    return out;
}

static void compare_rows(const norm_case *t, const norm_input *in, const norm_output *got,
                         const channel_truth *of, int c) {
    double gamma = (double)in->gamma[c], scale = gamma / sqrt(of->variance + t->of.epsilon);
    double rows = (double)t->of.rows;
    for (size_t row = 0; row < t->of.rows; row++) {
        double y = normalised(t, in, of, row, c) * gamma + (double)in->beta[c];
        y += t->joins ? value_of(t, in->tensors[OTHER], row, c) : 0;
        y = t->of.relu && y < 0 ? 0 : y;
        double dy = masked(t, in, got, row, c);
        double dx = scale * (dy - (of->sum + normalised(t, in, of, row, c) * of->product) / rows);
        double found_y = value_of(t, got->y, row, c), found_dx = value_of(t, got->dx, row, c);
        expect(fabs(found_y - y) <= near(t->type, y, 1e-4), "y[%zu, %d] is %g, expected %g", row, c,
               found_y, y);
        expect(fabs(found_dx - dx) <= near(t->type, dx, 1e-4), "dx[%zu, %d] is %g, expected %g",
               row, c, found_dx, dx);
        expect(value_of(t, got->masked, row, c) == dy, "masked dy[%zu, %d]", row, c);
    }
}

static void compare(const norm_case *t, const norm_input *in, const norm_output *got) {
    double rows = (double)t->of.rows, m = t->of.momentum;
    for (int c = 0; c < t->of.channels; c++) {
        channel_truth of = truth_of(t, in, got, c);
        double mean = (1 - m) * (double)in->mean[c] + m * of.mean;
        double unbiased = rows > 1 ? of.variance * rows / (rows - 1) : 0;
        double variance = (1 - m) * (double)in->variance[c] + m * unbiased;
        expect(fabs((double)got->mean[c] - mean) <= 1e-6 * (fabs(mean) + 1), "mean %d: %g, %g", c,
               (double)got->mean[c], mean);
        expect(fabs((double)got->variance[c] - variance) <= 1e-6 * variance, "variance %d: %g, %g",
               c, (double)got->variance[c], variance);
        expect(fabs((double)got->dbeta[c] - of.sum) <= 1e-5 * rows, "dbeta %d", c);
        expect(fabs((double)got->dgamma[c] - of.product) <= 1e-5 * rows, "dgamma %d", c);
        compare_rows(t, in, got, &of, c);
    }
}

static void compare_bits(const norm_case *t, const norm_output *a, const norm_output *b) {
    size_t bytes = count_of(t) * dtype_bytes(t->type);
    size_t channels = (size_t)t->of.channels * sizeof(float);
    expect(memcmp(a->y, b->y, bytes) == 0 && memcmp(a->dx, b->dx, bytes) == 0, "other tensors");
    expect(memcmp(a->dgamma, b->dgamma, channels) == 0 &&
               memcmp(a->dbeta, b->dbeta, channels) == 0 &&
               memcmp(a->mean, b->mean, channels) == 0 &&
               memcmp(a->variance, b->variance, channels) == 0,
           "other sums the second time");
}

static void one(const norm_case *t, float away) {
    void *zero = zeroed(KERNEL_SCRATCH_BYTES);
    memory scratch = memory_new(KERNEL_SCRATCH_BYTES, 0, zero);
    norm_input in = input_of(t, away);
    norm_output first = run(t, &in, &scratch), second = run(t, &in, &scratch);
    compare(t, &in, &first);
    compare_bits(t, &first, &second);
    output_free(&first), output_free(&second), input_free(&in);
    memory_free(&scratch);
    free(zero);
}

void test_norm(void) {
    static const struct {
        size_t rows;
        int channels;
    } sizes[] = {{1, 8}, {2, 3}, {77, 64}, {999, 16}, {1500, 5}, {130, 520}};
    for (size_t type = 0; type < 3; type++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (int form = 0; form < 4; form++) {
                norm_case t = {.type = every_type[type],
                               .of = {.rows = sizes[i].rows,
                                      .channels = sizes[i].channels,
                                      .relu = form % 2,
                                      .epsilon = 1e-5,
                                      .momentum = 0.1},
                               .processors = form < 2 ? 1 : 132,
                               .skew = form % 2 ? dtype_bytes(every_type[type]) : 0,
                               .joins = form / 2};
                one(&t, 1);
            }
            case_done("batch norm of %s [%zu, %d]", dtype_name(every_type[type]), sizes[i].rows,
                      sizes[i].channels);
        }
    /* Far from zero, in type that holds it: no cancellation. */
    one(&(norm_case){.type = DTYPE_F32,
                     .of = {.rows = 5000, .channels = 6, .epsilon = 1e-5, .momentum = 0.1},
                     .processors = 7},
        300);
    case_done("batch norm of means that are far from zero");
}
