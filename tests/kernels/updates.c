/* The optimizers' launches: ranges at every alignment, with and without a low-precision copy, with
 * gradients in the flat array and elsewhere. */
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
    bool decoupled, nesterov;
    float clip, clip_value; /* 0: none */
} update_case;

typedef struct arrays {
    float *host[ARRAYS], *after[ARRAYS];
    float *gradients; /* that the update is to see */
    memory device[ARRAYS], packed, left, state, rates;
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
            .rate_scale = (float)(r + 1),
            .weight_decay = r % 2 ? 0.01f : 0,
            .packed_type = c->packed};
        first += count + (size_t)(r % 4 == 3);
        packed += (count + 3) / 4 * 4;
    }
    expect(first <= ELEMENTS && packed <= ELEMENTS, "the test's own arrays are too small");
}

/* Of every fourth range the gradient is left, rounded, behind two others; of every eighth in runs.
 */
static void leave_gradients(const update_case *c, arrays *a) {
    enum { BEFORE = 2 };
    uint16_t *host = zeroed(4 * ELEMENTS * sizeof *host);
    size_t used = 0;
    memcpy(a->gradients, a->host[1], ELEMENTS * sizeof *a->gradients);
    for (int r = 1; r < c->ranges; r += 4) {
        update_range *range = &a->ranges.of[r];
        range->left = (void *)used; /* an offset for now */
        range->left_first = r % 8 == 5 ? 0 : BEFORE;
        range->left_runs = r % 8 == 5 ? (update_runs){3, 8} : (update_runs){0, 0};
        for (size_t i = 0; i < range->count; i++) {
            size_t at = range->left_runs.length ? i / 3 * 8 + i % 3 : i + BEFORE;
            put(c->packed, host, used + at, -a->host[1][range->first + i]);
            a->gradients[range->first + i] = get(c->packed, host, used + at);
        }
        used += (range->count * 3 + 16) / 8 * 8;
    }
    expect(used <= 4 * ELEMENTS, "the test's own arrays are too small");
    a->left = memory_new(4 * ELEMENTS * sizeof *host, 0, host);
    for (int r = 1; r < c->ranges; r += 4)
        a->ranges.of[r].left = a->left.at + 2 * (size_t)a->ranges.of[r].left;
    free(host);
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
    const float rates[] = {0.002f, 0.001f};
    step_state state = {
        .step = c->step, .overflow = c->overflow, .loss_scale = 1024, .clip = c->clip};
    a.rates = memory_new(sizeof rates, 0, rates);
    a.state = memory_new(sizeof state, 0, &state);
    a.packed = memory_new(ELEMENTS * dtype_bytes(c->packed), 0, NULL);
    make_ranges(c, &a);
    a.gradients = zeroed(ELEMENTS * sizeof *a.gradients);
    leave_gradients(c, &a);
    return a;
}

static void tear_down(arrays *a) {
    for (int i = 0; i < ARRAYS; i++) {
        free(a->host[i]), free(a->after[i]);
        memory_free(&a->device[i]);
    }
    memory_free(&a->packed), memory_free(&a->state), memory_free(&a->rates);
    memory_free(&a->left), free(a->gradients);
}

static double rate_of(const update_case *c, const update_range *range) {
    return (double)(c->step == 0 ? 0.002f : 0.001f) * (double)range->rate_scale;
}

static double gradient_of(const update_case *c, double g) {
    double limit = (double)c->clip_value;
    g = g / 1024 * (c->clip > 0 ? (double)c->clip : 1);
    return limit > 0 ? fmax(-limit, fmin(limit, g)) : g;
}

static void adam_element(const update_case *c, const update_range *range, double *w, double g,
                         double *m, double *v) {
    double beta1 = (double)0.9f, beta2 = (double)0.999f, t = (double)c->step + 1;
    double rate = rate_of(c, range), decay = (double)range->weight_decay;
    g = gradient_of(c, g);
    if (c->decoupled)
        *w *= 1 - rate * decay;
    else
        g += decay * *w;
    *m = beta1 * *m + (1 - beta1) * g;
    *v = beta2 * *v + (1 - beta2) * g * g;
    *w -= rate * (*m / (1 - pow(beta1, t))) / (sqrt(*v / (1 - pow(beta2, t))) + (double)1e-8f);
}

static void sgd_element(const update_case *c, const update_range *range, double *w, double g,
                        double *velocity) {
    g = gradient_of(c, g) + (double)range->weight_decay * *w;
    double change = c->momentum && c->step > 0 ? (double)0.9f * *velocity + g : g;
    if (c->momentum)
        *velocity = change;
    *w -= rate_of(c, range) * (c->nesterov ? g + (double)0.9f * change : change);
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
                adam_element(c, range, &w, (double)a->gradients[at], &m, &v);
            else
                sgd_element(c, range, &w, (double)a->gradients[at], &m);
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
    {.ranges = 9,
     .packed = DTYPE_BF16,
     .step = 2,
     .momentum = true,
     .decoupled = true,
     .nesterov = true},
    {.ranges = 9, .packed = DTYPE_BF16, .step = 2, .clip = 0.25f, .clip_value = 1e-4f},
};

static void name_case(const char *method, const update_case *c, int gpu) {
    case_done("%s%s%s, update %lld of %d ranges%s, copies in %s%s, %d processors", method,
              c->momentum ? " with momentum" : "", c->clip > 0 ? ", clipped" : "",
              (long long)c->step + 1, c->ranges, c->skew ? " off the vectors' alignment" : "",
              dtype_name(c->packed), c->overflow ? ", overflow: nothing changes" : "", gpu);
}

static update_arguments arguments_of(const update_case *c, const arrays *a) {
    return (update_arguments){.parameters = (float *)a->device[0].at,
                              .gradients = (const float *)a->device[1].at,
                              .moments = {(float *)a->device[2].at, (float *)a->device[3].at},
                              .rates = (const float *)a->rates.at,
                              .rate_count = 2,
                              .clips = c->clip > 0,
                              .clip_value = c->clip_value,
                              .state = (const step_state *)a->state.at};
}

/* Every second run moves the state on, too. Returns the update's scratch memory. */
static memory advances(int gpu, const arrays *a, update_arguments *out) {
    static const char zeros[64];
    if (gpu > 1) {
        out->advanced = (step_state *)a->state.at;
        out->images = 7;
        out->scaling = true;
    }
    return memory_new(sizeof zeros, 0, zeros);
}

static void check_advanced(const update_case *c, const arrays *a, bool moved, memory *scratch) {
    step_state now;
    memory_get(&a->state, &now);
    expect(now.cursor == (moved ? 7 : 0), "the cursor is %lld", (long long)now.cursor);
    expect(now.step == c->step + (moved && !c->overflow), "step %lld", (long long)now.step);
    expect(now.skipped == (moved && c->overflow), "%lld skipped", (long long)now.skipped);
    expect(now.overflow == (c->overflow && !moved), "overflow %d", now.overflow);
    expect(now.loss_scale == (moved && c->overflow ? 512.0f : 1024.0f), "scale %g",
           (double)now.loss_scale);
    memory_free(scratch);
}

void test_adam_ranges(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int gpu = 1; gpu <= 132; gpu += 131) {
            arrays a = set_up(&cases[i]);
            update_arguments arguments = arguments_of(&cases[i], &a);
            adam_constants constants = {
                .beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f, .decoupled = cases[i].decoupled};
            memory scratch = advances(gpu, &a, &arguments);
            MUST(kernel_adam(NULL, gpu, &constants, &arguments, &a.ranges, scratch.at));
            check_advanced(&cases[i], &a, arguments.advanced, &scratch);
            check(&cases[i], &a, true);
            tear_down(&a);
            update_case named = cases[i];
            named.momentum = false;
            name_case(cases[i].decoupled ? "adamw" : "adam", &named, gpu);
        }
}

void test_sgd_ranges(void) {
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int gpu = 1; gpu <= 132; gpu += 131) {
            arrays a = set_up(&cases[i]);
            update_arguments arguments = arguments_of(&cases[i], &a);
            sgd_constants constants = {.momentum = cases[i].momentum ? 0.9f : 0,
                                       .nesterov = cases[i].nesterov};
            if (!cases[i].momentum)
                arguments.moments[0] = NULL;
            memory scratch = advances(gpu, &a, &arguments);
            MUST(kernel_sgd(NULL, gpu, &constants, &arguments, &a.ranges, scratch.at));
            check_advanced(&cases[i], &a, arguments.advanced, &scratch);
            check(&cases[i], &a, false);
            tear_down(&a);
            name_case(cases[i].nesterov ? "sgd, Nesterov" : "sgd", &cases[i], gpu);
        }
}
