/* Adam and SGD: one pass over each range of the flat arrays. A range that has a packed copy is
 * repacked right after its update, while it is still in the cache. */
#include "device/cpu/cpu.h"
#include "device/cpu/stream.h"

#include <math.h>
#include <string.h>

/* What is the same for all elements of a range. A gradient is g * unscale, limited to +-limit. */
typedef struct gradient_factors {
    float unscale, limit, decay; /* limit: infinite where there is none */
} gradient_factors;

/* NaN stays NaN. */
static inline float gradient_of(float g, const gradient_factors *f) {
    float gradient = g * f->unscale;
    gradient = f->limit < gradient ? f->limit : gradient;
    return -f->limit > gradient ? -f->limit : gradient;
}

typedef struct adam_factors {
    gradient_factors gradient;
    float beta1, beta2, epsilon, step_size, inverse_root_correction2;
    float keep; /* of the weight, before the step: less than 1 where the decay is decoupled */
} adam_factors;

static void adam_chunk(float *restrict w, const float *restrict g, float *restrict m,
                       float *restrict v, size_t count, const adam_factors *factors) {
    const adam_factors f = *factors;
    for (size_t i = 0; i < count; i++) {
        float gradient = gradient_of(g[i], &f.gradient) + f.gradient.decay * w[i];
        float first = f.beta1 * m[i] + (1.0f - f.beta1) * gradient;
        float second = f.beta2 * v[i] + (1.0f - f.beta2) * gradient * gradient;
        m[i] = first;
        v[i] = second;
        w[i] = w[i] * f.keep -
               f.step_size * first / (sqrtf(second) * f.inverse_root_correction2 + f.epsilon);
    }
}

typedef struct sgd_factors {
    gradient_factors gradient;
    float rate, momentum;
    float keep; /* of the velocity: 0 in the first update, else 1 */
} sgd_factors;

static void sgd_chunk(float *restrict w, const float *restrict g, float *restrict velocity,
                      size_t count, const sgd_factors *factors) {
    const sgd_factors f = *factors;
    for (size_t i = 0; i < count; i++) {
        float change = f.keep * velocity[i] * f.momentum + gradient_of(g[i], &f.gradient) +
                       f.gradient.decay * w[i];
        velocity[i] = change;
        w[i] -= f.rate * change;
    }
}

static void nesterov_chunk(float *restrict w, const float *restrict g, float *restrict velocity,
                           size_t count, const sgd_factors *factors) {
    const sgd_factors f = *factors;
    for (size_t i = 0; i < count; i++) {
        float gradient = gradient_of(g[i], &f.gradient) + f.gradient.decay * w[i];
        float change = f.keep * velocity[i] * f.momentum + gradient;
        velocity[i] = change;
        w[i] -= f.rate * (gradient + f.momentum * change);
    }
}

static void sgd_plain_chunk(float *restrict w, const float *restrict g, size_t count,
                            const sgd_factors *factors) {
    const sgd_factors f = *factors;
    for (size_t i = 0; i < count; i++)
        w[i] -= f.rate * (gradient_of(g[i], &f.gradient) + f.gradient.decay * w[i]);
}

static void add_chunk(const float *restrict a, const float *restrict b, float *restrict sum,
                      size_t count) {
    for (size_t i = 0; i < count; i++)
        sum[i] = a[i] + b[i];
}

/* In elements. A thread's chunk: 16 KiB of each array, so that a chunk's arrays stay in the first
 * caches; the pieces of it that are summed at once; how far ahead is fetched; a cache line. */
enum { CHUNK = 4096, PIECE = 256, AHEAD = 1024, LINE = 16 };

/* Of the piece at `first`: where they lie, or their sum in `room`. What another process wrote lies
 * in small pages, at each of which a core's own prefetching ends: it is fetched ahead, while the
 * piece before is computed. */
static const float *gradients_of(const float *gradients, const float *added, size_t first,
                                 size_t count, float room[PIECE]) {
    if (!added)
        return gradients + first;
    for (size_t i = first + AHEAD; i < first + AHEAD + count; i += LINE) {
        __builtin_prefetch(gradients + i);
        __builtin_prefetch(added + i);
    }
    add_chunk(gradients + first, added + first, room, count);
    return room;
}

/* What a pass does with `count` elements of the flat arrays, at most CHUNK, or PIECE where two
 * arrays of gradients are added up, from `first` on. */
typedef struct update {
    void (*run)(const struct update *self, size_t first, size_t count);
    const update_arguments *arguments;
    update_pair pair; /* all NULL: none */
    adam_factors adam;
    sgd_factors sgd;
    bool nesterov;
} update;

/* Past the caches: this core does not read them again. */
static void copy_piece(const float *from, float *to, size_t count) {
    bool aligned = (uintptr_t)to % 64 == 0;
    size_t whole = aligned ? count / LANES * LANES : 0;
    for (size_t i = 0; i < whole; i += LANES) {
        floats value = *(const floats_there *)(from + i);
        put(true, to + i, &value);
    }
    for (size_t i = whole; i < count; i++)
        to[i] = from[i];
}

static void update_adam(const update *self, size_t first, size_t count) {
    const update_arguments *a = self->arguments;
    float room[PIECE];
    const float *gradients = gradients_of(a->gradients, self->pair.added, first, count, room);
    adam_chunk(a->parameters + first, gradients, a->moments[0] + first, a->moments[1] + first,
               count, &self->adam);
}

static void update_sgd(const update *self, size_t first, size_t count) {
    const update_arguments *a = self->arguments;
    float room[PIECE];
    const float *gradients = gradients_of(a->gradients, self->pair.added, first, count, room);
    float *velocity = a->moments[0];
    if (!velocity)
        sgd_plain_chunk(a->parameters + first, gradients, count, &self->sgd);
    else if (self->nesterov)
        nesterov_chunk(a->parameters + first, gradients, velocity + first, count, &self->sgd);
    else
        sgd_chunk(a->parameters + first, gradients, velocity + first, count, &self->sgd);
}

static size_t at_most(size_t limit, size_t count) {
    return count < limit ? count : limit;
}

static void update_piece(const update *self, size_t first, size_t count) {
    self->run(self, first, count);
    if (self->pair.copied)
        copy_piece(self->arguments->parameters + first, self->pair.copied + first, count);
}

/* The copy of a chunk that is no more than rounded is made while the chunk is in the cache. */
static int update_range(const update *self, const parameter_range *range, device_stream *stream,
                        ls_error *error) {
    const float *parameters = self->arguments->parameters;
    plan *packing = range->packing;
    bool in_order = packing && packing->packed[range->packing_index].in_order;
    size_t piece = self->pair.added ? PIECE : CHUNK;
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (size_t first = 0; first < range->count; first += CHUNK) {
            size_t count = at_most(CHUNK, range->count - first);
            for (size_t done = 0; done < count; done += piece)
                update_piece(self, range->first + first + done, at_most(piece, count - done));
            if (in_order)
                cpu_round_to_bf16(parameters + range->first + first,
                                  (uint16_t *)range->packed + first, count);
        }
        end_streams(self->pair.copied != NULL);
    }
    if (!packing || in_order)
        return LS_OK;
    return plan_pack(packing, stream, range->packing_index, parameters + range->first,
                     range->packed, error);
}

static update update_of(const update_arguments *arguments, const update_pair *pair) {
    return (update){.arguments = arguments, .pair = pair ? *pair : (update_pair){0}};
}

static gradient_factors gradient_factors_of(const update_arguments *a, float decay) {
    float unscale = 1.0f / a->state->loss_scale;
    return (gradient_factors){.unscale = a->clips ? unscale * a->state->clip : unscale,
                              .limit = a->clip_value > 0 ? a->clip_value : INFINITY,
                              .decay = decay};
}

static float rate_of(const update_arguments *a, const parameter_range *range) {
    int64_t step = step_state_number(a->state);
    return a->rates[step < a->rate_count ? step : a->rate_count - 1] * range->rate_scale;
}

int cpu_adam_pair(device *self, device_stream *stream, const adam_constants *c,
                  const update_arguments *a, const update_pair *pair, const parameter_range *ranges,
                  int range_count, ls_error *error) {
    (void)self;
    if (a->state->overflow)
        return LS_OK;
    double number = (double)(a->state->step + 1);
    double correction1 = 1.0 - pow(c->beta1, number), correction2 = 1.0 - pow(c->beta2, number);
    update each = update_of(a, pair);
    each.run = update_adam;
    for (int index = 0; index < range_count; index++) {
        const parameter_range *range = &ranges[index];
        double rate = (double)rate_of(a, range), decay = (double)range->weight_decay;
        each.adam =
            (adam_factors){.gradient = gradient_factors_of(a, c->decoupled ? 0 : (float)decay),
                           .beta1 = c->beta1,
                           .beta2 = c->beta2,
                           .epsilon = c->epsilon,
                           .step_size = (float)(rate / correction1),
                           .inverse_root_correction2 = (float)(1.0 / sqrt(correction2)),
                           .keep = c->decoupled ? (float)(1.0 - rate * decay) : 1.0f};
        LS_TRY(update_range(&each, range, stream, error));
    }
    return LS_OK;
}

int cpu_adam(device *self, device_stream *stream, const adam_constants *constants,
             const update_arguments *arguments, const parameter_range *ranges, int range_count,
             ls_error *error) {
    return cpu_adam_pair(self, stream, constants, arguments, NULL, ranges, range_count, error);
}

int cpu_sgd_pair(device *self, device_stream *stream, const sgd_constants *c,
                 const update_arguments *a, const update_pair *pair, const parameter_range *ranges,
                 int range_count, ls_error *error) {
    (void)self;
    if (a->state->overflow)
        return LS_OK;
    update each = update_of(a, pair);
    each.run = update_sgd;
    each.nesterov = c->nesterov;
    for (int index = 0; index < range_count; index++) {
        const parameter_range *range = &ranges[index];
        each.sgd = (sgd_factors){.gradient = gradient_factors_of(a, range->weight_decay),
                                 .rate = rate_of(a, range),
                                 .momentum = c->momentum,
                                 .keep = a->state->step > 0 ? 1.0f : 0.0f};
        LS_TRY(update_range(&each, range, stream, error));
    }
    return LS_OK;
}

int cpu_sgd(device *self, device_stream *stream, const sgd_constants *constants,
            const update_arguments *arguments, const parameter_range *ranges, int range_count,
            ls_error *error) {
    return cpu_sgd_pair(self, stream, constants, arguments, NULL, ranges, range_count, error);
}

static void average_chunk(const float *restrict values, float *restrict average, size_t count,
                          float share) {
    for (size_t i = 0; i < count; i++)
        average[i] += share * (values[i] - average[i]);
}

/* The first update's average is what there is to average. */
int cpu_average(device *self, device_stream *stream, const float *values, float *average,
                size_t count, double decay, const step_state *state, ls_error *error) {
    (void)self, (void)stream, (void)error;
    if (state->overflow)
        return LS_OK;
    float share = (float)(1.0 - decay);
#pragma omp parallel for schedule(static)
    for (size_t first = 0; first < count; first += CHUNK) {
        size_t part = at_most(CHUNK, count - first);
        if (state->step == 0)
            memcpy(average + first, values + first, part * sizeof *values);
        else
            average_chunk(values + first, average + first, part, share);
    }
    return LS_OK;
}
