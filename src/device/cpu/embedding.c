/* The class token and the positions, put before and onto the patches. */
#include "device/kinds/embedding.h"
#include "base/float16.h"
#include "device/cpu/cpu.h"

#include <string.h>

typedef struct embedding_plan {
    plan base;
    embedding_shape shape;
} embedding_plan;

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const embedding_shape *shape = wanted;
    LS_TRY(cpu_check_type("embedding", shape->type, error));
    ((embedding_plan *)base)->shape = *shape;
    text_add(&base->description, "loop");
    return LS_OK;
}

/* y = a + b, of fp32. */
static void add_floats(const float *restrict a, const float *restrict b, float *restrict y,
                       size_t count) {
    for (size_t i = 0; i < count; i++)
        y[i] = a[i] + b[i];
}

/* a NULL: y = token + b, in bf16. */
static void add_bf16(const uint16_t *restrict a, const float *restrict token,
                     const float *restrict b, uint16_t *restrict y, size_t count) {
    for (size_t i = 0; i < count; i++)
        y[i] = bf16_of_float((a ? bf16_to_float(a[i]) : token[i]) + b[i]);
}

static void embed(const embedding_shape *s, const op_arguments *a, size_t sample) {
    size_t channels = (size_t)s->channels, own = (size_t)s->tokens * channels;
    const float *token = a->parameters[0], *positions = a->parameters[1];
    if (s->type == DTYPE_BF16) {
        uint16_t *y = (uint16_t *)a->y + sample * (own + channels);
        const uint16_t *x = (const uint16_t *)a->x[0] + sample * own;
        add_bf16(NULL, token, positions, y, channels);
        add_bf16(x, NULL, positions + channels, y + channels, own);
    } else {
        float *y = (float *)a->y + sample * (own + channels);
        const float *x = (const float *)a->x[0] + sample * own;
        add_floats(token, positions, y, channels);
        add_floats(x, positions + channels, y + channels, own);
    }
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const embedding_shape *s = &((embedding_plan *)base)->shape;
#pragma omp parallel for schedule(static)
    for (size_t sample = 0; sample < (size_t)s->n; sample++)
        embed(s, a, sample);
    return LS_OK;
}

static int backward_parameters(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const embedding_shape *s = &((embedding_plan *)base)->shape;
    size_t channels = (size_t)s->channels;
    cpu_sum_rows(s->type, a->dy, a->gradients[1], (size_t)s->n, ((size_t)s->tokens + 1) * channels);
    memcpy(a->gradients[0], a->gradients[1], channels * sizeof(float));
    return LS_OK;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const embedding_shape *s = &((embedding_plan *)base)->shape;
    size_t row = (size_t)s->channels * dtype_bytes(s->type), own = (size_t)s->tokens * row;
#pragma omp parallel for schedule(static)
    for (size_t sample = 0; sample < (size_t)s->n; sample++)
        memcpy((char *)a->dx[0] + sample * own, (const char *)a->dy + sample * (own + row) + row,
               own);
    return LS_OK;
}

const op cpu_embedding = {
    .kind = &op_embedding,
    .plan_bytes = sizeof(embedding_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
