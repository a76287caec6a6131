/* Class token and positions, forward and backward, against sums in double. */
#include "device/kinds/embedding.h"
#include "op_trial.h"

#include <stdlib.h>

static void one_shape(subject *s, const embedding_shape *shape, uint64_t stream) {
    size_t channels = (size_t)shape->channels, tokens = (size_t)shape->tokens;
    size_t n = (size_t)shape->n, all = (tokens + 1) * channels, own = tokens * channels;
    float *x = random_values(s, n * own, stream, -1, 1);
    float *token = random_floats(channels, stream + 1, -1, 1);
    float *positions = random_floats(all, stream + 2, -1, 1);
    float *dy = random_values(s, n * all, stream + 3, -1, 1);
    float *y = floats(n * all), *dx = floats(n * own), *sums = floats(all);
    for (size_t i = 0; i < all; i++) {
        double sum = 0;
        for (size_t sample = 0; sample < n; sample++) {
            float value = i < channels ? token[i] : x[sample * own + i - channels];
            y[sample * all + i] = (float)((double)value + (double)positions[i]);
            sum += (double)dy[sample * all + i];
            if (i >= channels)
                dx[sample * own + i - channels] = dy[sample * all + i];
        }
        sums[i] = (float)sum;
    }
    op_trial trial = {.kind = &op_embedding,
                      .shape = shape,
                      .x = {trial_flat(n * own, x)},
                      .parameters = {trial_flat(channels, token), trial_flat(all, positions)},
                      .dy = trial_flat(n * all, dy)};
    op_results got = op_try(s, &trial), again = op_try_alone(s, &trial);
    expect_close_stored(s, "y", got.y, y, n * all, 0x1p-23);
    expect_equal("dx", got.dx[0], dx, n * own);
    expect_close("the positions' gradient", got.gradients[1], sums, all, sum_tolerance(n));
    expect_equal("the class token's gradient", got.gradients[0], got.gradients[1], channels);
    expect_same_bits(&trial, &got, &again);
    op_results_free(&got), op_results_free(&again);
    free(x), free(token), free(positions), free(dy), free(y), free(dx), free(sums);
    case_done(s, "embedding [%d,%d,%d]", shape->n, shape->tokens, shape->channels);
}

void test_embedding(subject *s, subject *ref) {
    static const int shapes[][3] = {{2, 196, 192}, {1, 1, 64}, {33, 16, 48}, {7, 4, 5}};
    (void)ref;
    if (subject_lacks(s, &op_embedding))
        return;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        one_shape(s,
                  &(embedding_shape){.n = shapes[i][0],
                                     .tokens = shapes[i][1],
                                     .channels = shapes[i][2],
                                     .type = s->type},
                  15000 + 4 * i);
}
