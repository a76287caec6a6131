/* The optimizers' launches: ranges at every alignment, with and without a low-precision copy. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ELEMENTS = 20000, ARRAYS = 4 }; /* parameters, gradients, two moments */

typedef struct update_case {
    int ranges;
    size_t skew; /* of the flat arrays, in bytes */
    dtype packed;
    int64_t step; /* updates made before */
    bool overflow, momentum;
} update_case;

typedef struct arrays {
    float *host[ARRAYS], *after[ARRAYS];
    memory device[ARRAYS], packed, state;
    update_ranges ranges;
} arrays;

/* Ranges one behind the other with gaps, lengths that no chunk divides, one of length 0; every
 * third has no copy. The copies lie one behind the other too. */
static void make_ranges(const update_case *c, arrays *a) {
    size_t first = 0, packed = 0, lengths[] = {1, 64, 1728, 5, 4099, 0, 128, 1024, 3, 2048};
    a->ranges.count = c->ranges;
    for (int r = 0; r < c->ranges; r++) {
        size_t count = lengths[r % 10];
        if (c->ranges > 10)
            count %= 300;
        a->ranges.of[r] = (update_range){
            .first = first,
            .count = count,
            .packed = r % 3 == 2 ? NULL : a->packed.at + packed * dtype_bytes(c->packed),
            .learning_rate = 0.001f * (float)(r + 1),
            .weight_decay = r % 2 ? 0.01f : 0,
            .packed_type = c->packed};
        first += count + (size_t)(r % 4 == 3);
        packed += (count + 3) / 4 * 4;
    }
    expect(first <= ELEMENTS && packed <= ELEMENTS, "the test's own arrays are too small");
}

static arrays set_up(const update_case *c) {
    arrays a = {0};
    for (int i = 0; i < ARRAYS; i++) {
        a.host[i] = random_values(ELEMENTS, 500 + (uint64_t)i);
        for (int k = 0; i == 3 && k < ELEMENTS; k++)
            a.host[i][k] = fabsf(a.host[i][k]); /* Adam's second moment is a mean of squares */
        a.device[i] = memory_new(ELEMENTS * sizeof(float), c->skew, a.host[i]);
        a.after[i] = zeroed(ELEMENTS * sizeof(float));
    }
    step_state state = {.step = c->step, .overflow = c->overflow, .loss_scale = 1024};
    a.state = memory_new(sizeof state, 0, &state);
    a.packed = memory_new(ELEMENTS * dtype_bytes(c->packed), 0, NULL);
    make_ranges(c, &a);
    return a;
}

static void tear_down(arrays *a) {
    for (int i = 0; i < ARRAYS; i++) {
        free(a->host[i]), free(a->after[i]);
        memory_free(&a->device[i]);
    }
    memory_free(&a->packed), memory_free(&a->state);
}

static void adam_element(const update_case *c, const update_range *range, double *w, double g,
                         double *m, double *v) {
    double beta1 = (double)0.9f, beta2 = (double)0.999f, t = (double)c->step + 1;
    g = g / 1024 + (double)range->weight_decay * *w;
    *m = beta1 * *m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    *w -= (double)range->learning_rate * (*m / (1 - pow(beta1, t))) /
          (sqrt(*v / (1 - pow(beta2, t))) + (double)1e-8f);
}

static void sgd_element(const update_case *c, const update_range *range, double *w, double g,
                        double *velocity) {
    g = g / 1024 + (double)range->weight_decay * *w;
    double change = c->momentum && c->step > 0 ? (double)0.9f * *velocity + g : g;
    if (c->momentum)
        *velocity = change;
    *w -= (double)range->learning_rate * change;
}

static double relative(double got, double want) {
    return fabs(got - want) / (fabs(want) + 0x1p-10);
}

/* Every element: in a range as computed in double, outside as before. */
static void check(const update_case *c, arrays *a, bool adam) {
    uint8_t *packed = zeroed(a->packed.bytes), *touched = zeroed(ELEMENTS);
    memory_get(&a->packed, packed);
    for (int i = 0; i < ARRAYS; i++)
        memory_get(&a->device[i], a->after[i]);
    double worst = 0;
    for (int r = 0; !c->overflow && r < c->ranges; r++) {
        const update_range *range = &a->ranges.of[r];
        for (size_t k = 0; k < range->count; k++) {
            size_t at = range->first + k;
            double w = (double)a->host[0][at], m = (double)a->host[2][at];
            double v = (double)a->host[3][at];
            touched[at] = 1;
            if (adam)
                adam_element(c, range, &w, (double)a->host[1][at], &m, &v);
            else
                sgd_element(c, range, &w, (double)a->host[1][at], &m);
            worst = fmax(worst, relative((double)a->after[0][at], w));
            worst = fmax(worst, relative((double)a->after[2][at], m));
            worst = fmax(worst, relative((double)a->after[3][at], v));
            if (!range->packed)
                continue;
            uint8_t want[4];
            put(c->packed, want, 0, a->after[0][at]);
            size_t place = (size_t)((char *)range->packed - a->packed.at);
            expect(memcmp(packed + place + k * 2, want, 2) == 0,
                   "range %d: the copy of element %zu is not the parameter rounded", r, k);
        }
    }
    /* A weight below 1.1 changes by at most some tenths: some ten roundings of 2^-24. */
    expect(worst <= 0x1p-20, "an element is off by %.3g of its size", worst);
    for (size_t at = 0; at < ELEMENTS; at++)
        for (int i = 0; i < ARRAYS; i++)
            expect((touched[at] && i != 1) || a->after[i][at] == a->host[i][at],
                   "array %d: element %zu, which is not to be written, was", i, at);
    for (size_t at = 0; c->overflow && at < a->packed.bytes; at++)
        expect(packed[at] == 0xFF, "byte %zu of the copies was written", at);
    free(packed), free(touched);
}

static const update_case cases[] = {
    {.ranges = 1, .packed = DTYPE_BF16},
    {.ranges = 9, .packed = DTYPE_BF16, .momentum = true},
    {.ranges = 9, .packed = DTYPE_F16, .step = 1, .momentum = true},
    {.ranges = 9, .skew = 4, .packed = DTYPE_BF16, .step = 999},
    {.ranges = 9, .packed = DTYPE_BF16, .step = 5, .overflow = true, .momentum = true},
    {.ranges = UPDATE_RANGES, .packed = DTYPE_F16, .step = 7, .momentum = true},
};

static void name_case(const char *method, const update_case *c, int gpu) {
    case_done("%s%s, update %lld of %d ranges%s, copies in %s%s, %d processors", method,
              c->momentum ? " with momentum" : "", (long long)c->step + 1, c->ranges,
              c->skew ? " off the vectors' alignment" : "", dtype_name(c->packed),
              c->overflow ? ", overflow: nothing changes" : "", gpu);
}

void test_adam_ranges(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int gpu = 1; gpu <= 132; gpu += 131) {
            arrays a = set_up(&cases[i]);
            float *at[ARRAYS];
            for (int k = 0; k < ARRAYS; k++)
                at[k] = (float *)a.device[k].at;
            adam_update update = {.parameters = at[0],
                                  .gradients = at[1],
                                  .first_moment = at[2],
                                  .second_moment = at[3],
                                  .beta1 = 0.9f,
                                  .beta2 = 0.999f,
                                  .epsilon = 1e-8f,
                                  .state = (const step_state *)a.state.at};
            MUST(kernel_adam(NULL, gpu, &update, &a.ranges));
            check(&cases[i], &a, true);
            tear_down(&a);
            update_case named = cases[i];
            named.momentum = false;
            name_case("adam", &named, gpu);
        }
}

void test_sgd_ranges(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int gpu = 1; gpu <= 132; gpu += 131) {
            arrays a = set_up(&cases[i]);
            sgd_update update = {.parameters = (float *)a.device[0].at,
                                 .gradients = (const float *)a.device[1].at,
                                 .velocity = cases[i].momentum ? (float *)a.device[2].at : NULL,
                                 .momentum = cases[i].momentum ? 0.9f : 0,
                                 .state = (const step_state *)a.state.at};
            MUST(kernel_sgd(NULL, gpu, &update, &a.ranges));
            check(&cases[i], &a, false);
            tear_down(&a);
            name_case("sgd", &cases[i], gpu);
        }
}
