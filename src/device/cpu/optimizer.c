/* Adam and SGD: one pass over each range of the flat arrays. A range that has a packed copy is
 * repacked right after its update, while it is still in the cache. */
#include "device/cpu/cpu.h"
#include "device/cpu/stream.h"

#include <math.h>

typedef struct adam_factors {
    float beta1, beta2, epsilon, decay, step_size, inverse_root_correction2, unscale;
} adam_factors;

static void adam_chunk(float *restrict w, const float *restrict g, float *restrict m,
                       float *restrict v, size_t count, const adam_factors *factors) {
    const adam_factors f = *factors;
    for (size_t i = 0; i < count; i++) {
        float gradient = g[i] * f.unscale + f.decay * w[i];
        float first = f.beta1 * m[i] + (1.0f - f.beta1) * gradient;
        float second = f.beta2 * v[i] + (1.0f - f.beta2) * gradient * gradient;
        m[i] = first;
        v[i] = second;
        w[i] -= f.step_size * first / (sqrtf(second) * f.inverse_root_correction2 + f.epsilon);
    }
}

static void sgd_chunk(float *restrict w, const float *restrict g, float *restrict velocity,
                      size_t count, float rate, float decay, float momentum, float keep,
                      float unscale) {
    for (size_t i = 0; i < count; i++) {
        float change = keep * velocity[i] * momentum + g[i] * unscale + decay * w[i];
        velocity[i] = change;
        w[i] -= rate * change;
    }
}

static void sgd_plain_chunk(float *restrict w, const float *restrict g, size_t count, float rate,
                            float decay, float unscale) {
    for (size_t i = 0; i < count; i++)
        w[i] -= rate * (g[i] * unscale + decay * w[i]);
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

/* What a pass does with `count` elements of the flat arrays, at most CHUNK, or PIECE where `added`,
 * from `first` on. */
typedef struct update {
    void (*run)(const struct update *self, size_t first, size_t count);
    const void *arguments; /* adam_arguments or sgd_arguments */
    const parameter_range *range;
    bool sums, copies; /* of two arrays of gradients; of parameters, to another place */
    adam_factors adam;
    float keep, unscale; /* sgd */
} update;

/* Past the caches: this core does not read them again. */
static void copy_piece(const float *from, float *to, size_t count) {
    bool aligned = (uintptr_t)to % 64 == 0;
    size_t whole = aligned ? count / LANES * LANES : 0;
    for (size_t i = 0; i < whole; i += LANES)
        put(true, to + i, (const floats *)(from + i));
    for (size_t i = whole; i < count; i++)
        to[i] = from[i];
}

static void update_adam(const update *self, size_t first, size_t count) {
    const adam_arguments *a = self->arguments;
    float room[PIECE];
    const float *gradients = gradients_of(a->gradients, a->added, first, count, room);
    adam_chunk(a->parameters + first, gradients, a->first_moment + first, a->second_moment + first,
               count, &self->adam);
    if (a->copied)
        copy_piece(a->parameters + first, a->copied + first, count);
}

static void update_sgd(const update *self, size_t first, size_t count) {
    const sgd_arguments *a = self->arguments;
    const parameter_range *range = self->range;
    float room[PIECE];
    const float *gradients = gradients_of(a->gradients, a->added, first, count, room);
    if (a->velocity)
        sgd_chunk(a->parameters + first, gradients, a->velocity + first, count,
                  range->learning_rate, range->weight_decay, a->momentum, self->keep,
                  self->unscale);
    else
        sgd_plain_chunk(a->parameters + first, gradients, count, range->learning_rate,
                        range->weight_decay, self->unscale);
    if (a->copied)
        copy_piece(a->parameters + first, a->copied + first, count);
}

static size_t at_most(size_t limit, size_t count) {
    return count < limit ? count : limit;
}

/* The copy of a chunk that is no more than rounded is made while the chunk is in the cache. */
static int update_range(const update *self, const float *parameters, device_stream *stream,
                        ls_error *error) {
    const parameter_range *range = self->range;
    const cpu_plan *packing = (const cpu_plan *)range->packing;
    bool in_order = packing && packing->packed_in_order;
    size_t piece = self->sums ? PIECE : CHUNK;
#pragma omp parallel
    {
#pragma omp for schedule(static) nowait
        for (size_t first = 0; first < range->count; first += CHUNK) {
            size_t count = at_most(CHUNK, range->count - first);
            for (size_t done = 0; done < count; done += piece)
                self->run(self, range->first + first + done, at_most(piece, count - done));
            if (in_order)
                cpu_round_to_bf16(parameters + range->first + first,
                                  (uint16_t *)range->packed + first, count);
        }
        end_streams(self->copies);
    }
    if (!packing || in_order)
        return LS_OK;
    return cpu_pack_weights(range->packing, stream, parameters + range->first, range->packed,
                            error);
}

int cpu_adam(device *self, device_stream *stream, const adam_arguments *a,
             const parameter_range *ranges, int range_count, ls_error *error) {
    (void)self;
    if (a->state->overflow)
        return LS_OK;
    double number = (double)(a->state->step + 1);
    double correction1 = 1.0 - pow(a->beta1, number), correction2 = 1.0 - pow(a->beta2, number);
    for (int index = 0; index < range_count; index++) {
        const parameter_range *range = &ranges[index];
        update each = {.run = update_adam,
                       .arguments = a,
                       .range = range,
                       .sums = a->added != NULL,
                       .copies = a->copied != NULL,
                       .adam = {a->beta1, a->beta2, a->epsilon, range->weight_decay,
                                (float)((double)range->learning_rate / correction1),
                                (float)(1.0 / sqrt(correction2)), 1.0f / a->state->loss_scale}};
        LS_TRY(update_range(&each, a->parameters, stream, error));
    }
    return LS_OK;
}

int cpu_sgd(device *self, device_stream *stream, const sgd_arguments *a,
            const parameter_range *ranges, int range_count, ls_error *error) {
    (void)self;
    if (a->state->overflow)
        return LS_OK;
    for (int index = 0; index < range_count; index++) {
        update each = {.run = update_sgd,
                       .arguments = a,
                       .range = &ranges[index],
                       .sums = a->added != NULL,
                       .copies = a->copied != NULL,
                       .keep = a->state->step > 0 ? 1.0f : 0.0f,
                       .unscale = 1.0f / a->state->loss_scale};
        LS_TRY(update_range(&each, a->parameters, stream, error));
    }
    return LS_OK;
}
