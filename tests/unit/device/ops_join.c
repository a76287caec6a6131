/* Residual joins: a sum that is rounded once, then a ReLU of it; both gradients are dy. To the bit,
 * against what stands here. */
#include "device/kinds/join.h"
#include "op_trial.h"

#include <stdlib.h>

/* wants: bit 0, the first input's gradient; bit 1, the second's. */
static void one_size(subject *s, size_t count, activation activation, int wants) {
    join_shape shape = {.count = count, .type = s->type, .activation = activation};
    float *a = random_values(s, count, 7000, -1, 1), *b = random_values(s, count, 7001, -1, 1);
    float *dy = random_values(s, count, 7002, -1, 1), *want = floats(count);
    for (size_t i = 0; i < count; i++) {
        float sum = a[i] + b[i];
        want[i] = s->type == DTYPE_F32 ? sum : rounded_to(s->precision, sum);
        if (activation == ACTIVATION_RELU && want[i] < 0)
            want[i] = 0;
    }
    op_results got = op_try(s, &(op_trial){.kind = &op_join,
                                           .shape = &shape,
                                           .x = {trial_flat(count, a), trial_flat(count, b)},
                                           .dy = trial_flat(count, dy),
                                           .leaves = {!(wants & 1), !(wants & 2)}});
    expect_equal("y", got.y, want, count);
    if (wants & 1)
        expect_equal("dx of the first", got.dx[0], dy, count);
    if (wants & 2)
        expect_equal("dx of the second", got.dx[1], dy, count);
    free(a), free(b), free(dy), free(want);
    op_results_free(&got);
    case_done(s, "join of %zu, %s, %s", count, activation_name(activation),
              wants == 3   ? "both gradients"
              : wants == 1 ? "the first's gradient"
                           : "the second's");
}

void test_join(subject *s, subject *ref) {
    static const size_t counts[] = {1, 7, 64, 1023, 16384, 50001};
    (void)ref;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        one_size(s, counts[i], ACTIVATION_NONE, 3);
        one_size(s, counts[i], ACTIVATION_RELU, 3);
    }
    one_size(s, 1023, ACTIVATION_RELU, 1);
    one_size(s, 1023, ACTIVATION_RELU, 2);
}
