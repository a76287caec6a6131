/* Pooling of tokens, the first or the mean of the others, forward and backward, by hand. */
#include "device/kinds/tokenpool.h"
#include "op_trial.h"

#include <stdlib.h>

static void one_shape(subject *s, const tokenpool_shape *shape, uint64_t stream) {
    size_t n = (size_t)shape->n, tokens = (size_t)shape->tokens, channels = (size_t)shape->channels;
    float *x = random_values(s, n * tokens * channels, stream, -1, 1);
    float *dy = random_values(s, n * channels, stream + 1, -1, 1);
    float *y = floats(n * channels), *dx = floats(n * tokens * channels);
    for (size_t i = 0; i < n * channels; i++) {
        double sum = 0, others = (double)(tokens - 1);
        for (size_t token = 0; token < tokens; token++) {
            size_t at = (i / channels * tokens + token) * channels + i % channels;
            bool first = token == 0;
            dx[at] =
                shape->mean ? (first ? 0 : (float)((double)dy[i] / others)) : (first ? dy[i] : 0);
            sum += shape->mean ? (first ? 0 : (double)x[at] / others) : (first ? (double)x[at] : 0);
        }
        y[i] = (float)sum;
    }
    op_results got = op_try(s, &(op_trial){.kind = &op_tokenpool,
                                           .shape = shape,
                                           .x = {trial_flat(n * tokens * channels, x)},
                                           .dy = trial_flat(n * channels, dy)});
    expect_close_stored(s, "y", got.y, y, n * channels,
                        shape->mean ? sum_tolerance(tokens) / (double)(tokens - 1) : 0);
    expect_close_stored(s, "dx", got.dx[0], dx, n * tokens * channels, shape->mean ? 0x1p-23 : 0);
    free(x), free(dy), free(y), free(dx), op_results_free(&got);
    case_done(s, "tokenpool [%d,%d,%d] %s", shape->n, shape->tokens, shape->channels,
              shape->mean ? "mean" : "first");
}

void test_tokenpool(subject *s, subject *ref) {
    static const int shapes[][3] = {{2, 197, 192}, {1, 2, 64}, {33, 17, 48}, {7, 5, 5}};
    (void)ref;
    if (subject_lacks(s, &op_tokenpool))
        return;
    for (size_t i = 0; i < 2 * sizeof shapes / sizeof *shapes; i++)
        one_shape(s,
                  &(tokenpool_shape){.n = shapes[i / 2][0],
                                     .tokens = shapes[i / 2][1],
                                     .channels = shapes[i / 2][2],
                                     .mean = i % 2,
                                     .type = s->type},
                  16000 + 2 * i);
}
