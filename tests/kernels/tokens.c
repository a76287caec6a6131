/* The launchers of what stands before and behind a transformer's blocks, at addresses that allow
 * vectors and that do not: each value is a sum of two, or moved. */
#include "kit.h"

#include <stdlib.h>

static void one_embedding(dtype type, const token_arguments *of, size_t skew) {
    size_t channels = (size_t)of->channels, all = (size_t)of->tokens * channels;
    size_t own = all - channels, n = (size_t)of->n, element = dtype_bytes(type);
    float *values = random_values(n * own, 70), *token = random_values(channels, 71);
    float *positions = random_values(all, 72), *gradients = random_values(n * all, 73);
    void *x_values = encoded(type, values, n * own), *dy_values = encoded(type, gradients, n * all);
    memory x = memory_new(n * own * element, skew * element, x_values);
    memory dy = memory_new(n * all * element, skew * element, dy_values);
    memory y = memory_new(n * all * element, skew * element, NULL);
    memory dx = memory_new(n * own * element, skew * element, NULL);
    memory of_token = memory_new(channels * sizeof(float), skew * sizeof(float), token);
    memory of_positions = memory_new(all * sizeof(float), skew * sizeof(float), positions);
    MUST(kernel_embed(NULL, type, of, x.at, (const float *)of_token.at,
                      (const float *)of_positions.at, y.at));
    MUST(kernel_embed_backward(NULL, type, of, dy.at, dx.at));
    void *got = zeroed(n * all * element), *want = zeroed(n * all * element);
    void *got_dx = zeroed(n * own * element);
    memory_get(&y, got), memory_get(&dx, got_dx);
    for (size_t i = 0; i < n * all; i++) {
        size_t sample = i / all, at = i % all;
        float value = at < channels ? token[at] : get(type, x_values, sample * own + at - channels);
        put(type, want, i, value + positions[at]);
        expect(get(type, got, i) == get(type, want, i), "y[%zu] is %g, expected %g", i,
               (double)get(type, got, i), (double)get(type, want, i));
        if (at >= channels)
            expect(get(type, got_dx, sample * own + at - channels) == get(type, dy_values, i),
                   "dx of [%zu]", i);
    }
    memory *memories[] = {&x, &dy, &y, &dx, &of_token, &of_positions, NULL};
    for (memory **each = memories; *each; each++)
        memory_free(*each);
    free(values), free(token), free(positions), free(gradients), free(x_values), free(dy_values);
    free(got), free(want), free(got_dx);
}

void test_tokens(void) {
    static const token_arguments sizes[] = {{3, 5, 64}, {2, 18, 192}, {7, 2, 5}};
    for (size_t type = 0; type < 3; type++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            one_embedding(every_type[type], &sizes[i], 0);
            one_embedding(every_type[type], &sizes[i], 1);
            case_done("class token and positions of %s [%d, %d, %d]", dtype_name(every_type[type]),
                      sizes[i].n, sizes[i].tokens, sizes[i].channels);
        }
}
