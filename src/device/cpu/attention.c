/* Attention: its loops (attention.h) are shared out by samples and heads, of which each is one
 * thread's: the same bits on any number of them. */
#include "device/cpu/attention.h"

#include "device/cpu/cpu.h"

#include <omp.h>

typedef struct attention_plan {
    plan base;
    attention_shape shape;
    size_t own_bytes; /* workspace of a thread */
} attention_plan;

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    attention_plan *self = (attention_plan *)base;
    const attention_shape *shape = wanted;
    size_t threads = (size_t)((cpu_device *)base->device)->threads;
    LS_TRY(cpu_check_type("attention", shape->type, error));
    self->shape = *shape;
    self->own_bytes = (cpu_attention_workspace_bytes(shape) + 63) & ~(size_t)63;
    base->saved_bytes =
        (size_t)shape->n * (size_t)shape->heads * (size_t)shape->tokens * sizeof(float);
    plan_need_workspace(base, threads * self->own_bytes);
    text_add(&base->description, "loop");
    return LS_OK;
}

static void run(const attention_plan *self, const op_arguments *a, bool backward) {
    const attention_job job = {.shape = self->shape,
                               .x = a->x[0],
                               .y = a->y,
                               .dy = a->dy,
                               .dx = a->dx[0],
                               .saved = a->saved};
    size_t heads = (size_t)self->shape.heads, count = (size_t)self->shape.n * heads;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++) {
        char *own = (char *)a->workspace + (size_t)omp_get_thread_num() * self->own_bytes;
        if (backward)
            cpu_attention_backward(&job, i / heads, i % heads, (float *)own);
        else
            cpu_attention_forward(&job, i / heads, i % heads, (float *)own);
    }
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    run((const attention_plan *)base, a, false);
    return LS_OK;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    run((const attention_plan *)base, a, true);
    return LS_OK;
}

const op cpu_attention = {
    .kind = &op_attention,
    .plan_bytes = sizeof(attention_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
