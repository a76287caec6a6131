/* check_finite: one bad value anywhere is found, the largest finite ones are not taken for bad. */
#include "kit.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>

static int overflow_of(const float *values, size_t count, size_t skew) {
    step_state state = {.step = 3, .loss_scale = 2};
    memory in = memory_new(count * sizeof *values, skew, values);
    memory states = memory_new(sizeof state, 0, &state);
    MUST(kernel_check_finite(NULL, (const float *)in.at, count, (step_state *)states.at));
    memory_get(&states, &state);
    expect(state.step == 3 && state.loss_scale == 2, "more than `overflow` was written");
    memory_free(&in), memory_free(&states);
    return state.overflow;
}

static void one_count(size_t count, size_t skew) {
    static const float bad[] = {INFINITY, -INFINITY, NAN};
    float *values = random_values(count, 1000);
    for (size_t i = 0; i < count; i += 3)
        values[i] = i % 2 ? FLT_MAX : -FLT_MAX;
    expect(overflow_of(values, count, skew) == 0, "%zu finite values are taken for bad", count);
    size_t places[] = {0, count / 2, count >= 2 ? count - 2 : 0, count - 1};
    for (size_t p = 0; p < sizeof places / sizeof *places; p++) {
        float kept = values[places[p]];
        values[places[p]] = bad[p % 3];
        expect(overflow_of(values, count, skew) != 0, "%g at %zu of %zu is not seen",
               (double)bad[p % 3], places[p], count);
        values[places[p]] = kept;
    }
    free(values);
}

void test_finite(void) {
    static const size_t counts[] = {1, 3, 4, 5, 255, 4095, 4096, 4099, 9001};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        one_count(counts[i], 0);
        one_count(counts[i], sizeof(float));
        case_done("check_finite of %zu", counts[i]);
    }
}
