/* Tokens pooled into one vector. */
#include "device/kinds/tokenpool.h"
#include "base/float16.h"
#include "device/cpu/cpu.h"

#include <string.h>

typedef struct tokenpool_plan {
    plan base;
    tokenpool_shape shape;
} tokenpool_plan;

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const tokenpool_shape *shape = wanted;
    LS_TRY(cpu_check_type("tokenpool", shape->type, error));
    ((tokenpool_plan *)base)->shape = *shape;
    if (shape->mean)
        plan_need_workspace(base, (size_t)shape->n * (size_t)shape->channels * sizeof(float));
    text_add(&base->description, "loop");
    return LS_OK;
}

static size_t row_bytes(const tokenpool_shape *s) {
    return (size_t)s->channels * dtype_bytes(s->type);
}

/* The others' mean, from their sum in the workspace. */
static void pool_mean(const tokenpool_shape *s, const op_arguments *a, size_t sample) {
    size_t channels = (size_t)s->channels, tokens = (size_t)s->tokens;
    const char *x = (const char *)a->x[0] + (sample * tokens + 1) * row_bytes(s);
    float *sums = (float *)a->workspace + sample * channels;
    cpu_sum_rows(s->type, x, sums, tokens - 1, channels);
    for (size_t c = 0; c < channels; c++)
        sums[c] /= (float)(tokens - 1);
    if (s->type == DTYPE_BF16)
        cpu_round_to_bf16(sums, (uint16_t *)a->y + sample * channels, channels);
    else
        memcpy((float *)a->y + sample * channels, sums, channels * sizeof *sums);
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const tokenpool_shape *s = &((tokenpool_plan *)base)->shape;
    size_t row = row_bytes(s), tokens = (size_t)s->tokens;
    for (size_t sample = 0; sample < (size_t)s->n; sample++) {
        if (s->mean)
            pool_mean(s, a, sample);
        else
            memcpy((char *)a->y + sample * row, (const char *)a->x[0] + sample * tokens * row, row);
    }
    return LS_OK;
}

/* What each of the others gets, into the second token. */
static void divide(const tokenpool_shape *s, const char *dy, char *to) {
    float others = (float)(s->tokens - 1);
    for (size_t c = 0; c < (size_t)s->channels; c++) {
        if (s->type == DTYPE_BF16)
            ((uint16_t *)to)[c] = bf16_of_float(bf16_to_float(((const uint16_t *)dy)[c]) / others);
        else
            ((float *)to)[c] = ((const float *)dy)[c] / others;
    }
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const tokenpool_shape *s = &((tokenpool_plan *)base)->shape;
    size_t row = row_bytes(s), tokens = (size_t)s->tokens;
#pragma omp parallel for schedule(static)
    for (size_t sample = 0; sample < (size_t)s->n; sample++) {
        const char *dy = (const char *)a->dy + sample * row;
        char *dx = (char *)a->dx[0] + sample * tokens * row;
        memset(dx, 0, tokens * row);
        if (!s->mean) {
            memcpy(dx, dy, row);
            continue;
        }
        divide(s, dy, dx + row);
        for (size_t token = 2; token < tokens; token++)
            memcpy(dx + token * row, dx + row, row);
    }
    return LS_OK;
}

const op cpu_tokenpool = {
    .kind = &op_tokenpool,
    .plan_bytes = sizeof(tokenpool_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
