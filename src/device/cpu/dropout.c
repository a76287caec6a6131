/* Elements, or samples, left out at random. */
#include "device/kinds/dropout.h"
#include "device/cpu/cpu.h"
#include "device/cpu/dropout.h"

#include "base/philox.h"

#include <string.h>

typedef struct dropout_plan {
    plan base;
    dropout_shape shape;
} dropout_plan;

enum {
    CHUNK = 1 << 14
}; /* elements at a time: many a sample, so that few samples keep all threads */

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const dropout_shape *shape = wanted;
    LS_TRY(cpu_check_type("dropout", shape->type, error));
    ((dropout_plan *)base)->shape = *shape;
    text_add(&base->description, "loop");
    return LS_OK;
}

static bool keeps_sample(const dropout_shape *s, const op_draws *draws, size_t sample) {
    uint32_t drawn[4];
    philox_block(draws->seed, RANDOM_DROPOUT, dropout_counter(s, draws),
                 (uint64_t)draws->first + sample, drawn);
    return drawn[0] >= dropout_least(s->rate);
}

/* Elements [first, first + count) of a sample, first a multiple of CHUNK. */
static void leave_out_part(const dropout_shape *s, const op_draws *draws, size_t sample,
                           size_t first, size_t count, const void *from, void *to) {
    size_t at = (sample * s->each + first) * dtype_bytes(s->type);
    dropout_job job = {.type = s->type,
                       .from = (const char *)from + at,
                       .to = (char *)to + at,
                       .count = count,
                       .scale = dropout_scale(s)};
    if (s->whole && !keeps_sample(s, draws, sample)) {
        memset(job.to, 0, count * dtype_bytes(s->type));
        return;
    }
    if (!s->whole) {
        job.seed = draws->seed;
        job.counter = dropout_counter(s, draws);
        job.block = ((uint64_t)draws->first + sample) * dropout_blocks(s) + first / 4;
        job.least = dropout_least(s->rate);
    }
    cpu_drop_elements(&job);
}

static void leave_out(const dropout_shape *s, const op_draws *draws, const void *from, void *to) {
    size_t parts = (s->each + CHUNK - 1) / CHUNK;
#pragma omp parallel for schedule(static)
    for (size_t index = 0; index < (size_t)s->n * parts; index++) {
        size_t first = index % parts * CHUNK, rest = s->each - first;
        leave_out_part(s, draws, index / parts, first, rest < CHUNK ? rest : CHUNK, from, to);
    }
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    const dropout_shape *s = &((dropout_plan *)base)->shape;
    (void)error;
    if (a->training)
        leave_out(s, a->draws, a->x[0], a->y);
    else
        memcpy(a->y, a->x[0], (size_t)s->n * s->each * dtype_bytes(s->type));
    return LS_OK;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    leave_out(&((dropout_plan *)base)->shape, a->draws, a->dy, a->dx[0]);
    return LS_OK;
}

const op cpu_dropout = {
    .kind = &op_dropout,
    .plan_bytes = sizeof(dropout_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
