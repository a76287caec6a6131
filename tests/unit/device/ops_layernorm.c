/* Layer normalisation: against ref; ref against the definition in other words, written down here in
 * double, and against finite differences. One thread gives the bits of all. */
#include "device/kinds/layernorm.h"
#include "op_trial.h"

#include <math.h>
#include <stdlib.h>

typedef struct norm_values {
    float *x, *gamma, *beta, *dy;
} norm_values;

static size_t count_of(const layernorm_shape *shape) {
    return (size_t)shape->rows * (size_t)shape->channels;
}

/* Rows of unlike means and spreads, `away` the furthest mean. */
static norm_values values_for(const subject *s, const layernorm_shape *shape, float away,
                              uint64_t stream) {
    size_t channels = (size_t)shape->channels, count = count_of(shape);
    float *x = random_floats(count, stream, -1, 1);
    for (size_t i = 0; i < count; i++) {
        size_t row = i / channels;
        x[i] = x[i] * (0.25f + (float)(row % 5)) + away * ((float)(row % 7) - 3) / 3;
    }
    norm_values out = {.x = s->type == DTYPE_F32 ? rounded_copy(PRECISION_FP32, x, count)
                                                 : rounded_copy(s->precision, x, count),
                       .gamma = random_floats(channels, stream + 1, -2, 2),
                       .beta = random_floats(channels, stream + 2, -1, 1),
                       .dy = random_values(s, count, stream + 3, -1, 1)};
    free(x);
    return out;
}

static void values_free(norm_values *self) {
    free(self->x), free(self->gamma), free(self->beta), free(self->dy);
}

static op_trial trial_of(const layernorm_shape *shape, const norm_values *in) {
    size_t channels = (size_t)shape->channels, count = count_of(shape);
    return (op_trial){
        .kind = &op_layernorm,
        .shape = shape,
        .x = {trial_flat(count, in->x)},
        .parameters = {trial_flat(channels, in->gamma), trial_flat(channels, in->beta)},
        .dy = trial_flat(count, in->dy)};
}

static void one_shape(subject *s, subject *ref, layernorm_shape shape, float away,
                      uint64_t stream) {
    size_t channels = (size_t)shape.channels, count = count_of(&shape);
    layernorm_shape plain = shape;
    plain.type = DTYPE_F32;
    norm_values in = values_for(s, &shape, away, stream);
    op_trial trial = trial_of(&shape, &in), truth = trial_of(&plain, &in);
    op_results want = op_try(ref, &truth), got = op_try(s, &trial);
    op_results again = op_try_alone(s, &trial);
    /* A mean's rounding is relative to how far it lies from zero, in spreads of 1/7 at least. */
    double near = 0x1p-21 * (14 * (double)away + 8);
    double summed = sum_tolerance((size_t)shape.rows) * (14 * (double)away + 8);
    expect_close_stored(s, "y", got.y, want.y, count, near);
    expect_close_stored(s, "dx", got.dx[0], want.dx[0], count, near * 16);
    expect_close("dgamma", got.gradients[0], want.gradients[0], channels, summed);
    expect_close("dbeta", got.gradients[1], want.gradients[1], channels,
                 sum_tolerance((size_t)shape.rows));
    expect_same_bits(&trial, &got, &again);
    op_results_free(&again);
    trial.leaves[0] = true;
    again = op_try(s, &trial);
    expect_equal("dgamma without dx", again.gradients[0], got.gradients[0], channels);
    op_results_free(&again), op_results_free(&got), op_results_free(&want), values_free(&in);
    case_done(s, "layernorm [%d,%d]", (int)shape.rows, shape.channels);
}

/* By the mean of squares less the square of the mean, which fp32 could not. */
static void against_definition(subject *s, uint64_t stream) {
    layernorm_shape shape = {.rows = 9, .channels = 40, .type = s->type, .epsilon = 1e-2};
    size_t channels = (size_t)shape.channels, count = count_of(&shape);
    norm_values in = values_for(s, &shape, 1, stream);
    op_trial trial = trial_of(&shape, &in);
    op_results got = op_try(s, &trial);
    float *want = floats(count);
    for (size_t row = 0; row < (size_t)shape.rows; row++) {
        double sum = 0, squares = 0;
        for (size_t c = 0; c < channels; c++) {
            sum += (double)in.x[row * channels + c];
            squares += pow((double)in.x[row * channels + c], 2);
        }
        double mean = sum / (double)channels;
        double spread = sqrt(squares / (double)channels - mean * mean + shape.epsilon);
        for (size_t c = 0; c < channels; c++)
            want[row * channels + c] =
                (float)(((double)in.x[row * channels + c] - mean) / spread * (double)in.gamma[c] +
                        (double)in.beta[c]);
    }
    expect_close_stored(s, "y", got.y, want, count, 0x1p-18);
    free(want), op_results_free(&got), values_free(&in);
    case_done(s, "layernorm: the definition's");
}

static void by_differences(subject *s, subject *ref, uint64_t stream) {
    layernorm_shape shape = {.rows = 4, .channels = 23, .epsilon = 1e-3};
    norm_values in = values_for(s, &shape, 1, stream);
    op_trial trial = trial_of(&shape, &in);
    op_results got = op_try(s, &trial);
    expect_differences(ref, &trial, &got, 0x1p-8f, 1, 0x1p-9);
    op_results_free(&got), values_free(&in);
    case_done(s, "layernorm: finite differences");
}

void test_layernorm(subject *s, subject *ref) {
    /* ViT's widths, those that fill no vector, one row, rows of several tiles; the last with means
     * far from zero. */
    static const int shapes[][2] = {{1, 192}, {3, 768},   {197, 64}, {50, 100},
                                    {33, 31}, {9000, 33}, {7, 1},    {64, 384}};
    static const float away[] = {1, 1, 1, 1, 1, 1, 1, 50};
    if (subject_lacks(s, &op_layernorm))
        return;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        one_shape(
            s, ref,
            (layernorm_shape){
                .rows = shapes[i][0], .channels = shapes[i][1], .type = s->type, .epsilon = 1e-6},
            away[i], 12000 + 10 * i);
    against_definition(s, 12100);
    if (s->precision == PRECISION_FP32)
        by_differences(s, ref, 12110);
}
