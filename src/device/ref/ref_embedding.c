/* The class token and the positions, put before and onto the patches. */
#include "device/kinds/embedding.h"
#include "device/ref/ref.h"

#include <string.h>

const op_kind op_embedding = {"embedding"};

typedef struct ref_embedding_plan {
    plan base;
    embedding_shape shape;
} ref_embedding_plan;

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const embedding_shape *shape = wanted;
    LS_TRY(ref_check_type("embedding", shape->type, error));
    ((ref_embedding_plan *)self)->shape = *shape;
    text_add(&self->description, "ref");
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const embedding_shape *s = &((ref_embedding_plan *)self)->shape;
    size_t channels = (size_t)s->channels, own = (size_t)s->tokens * channels;
    size_t all = own + channels;
    for (size_t n = 0; n < (size_t)s->n; n++)
        for (size_t i = 0; i < all; i++) {
            double value = i < channels ? (double)a->parameters[0][i]
                                        : ref_load(s->type, a->x[0], n * own + i - channels);
            ref_store(s->type, a->y, n * all + i, value + (double)a->parameters[1][i]);
        }
    return LS_OK;
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const embedding_shape *s = &((ref_embedding_plan *)self)->shape;
    size_t channels = (size_t)s->channels, all = ((size_t)s->tokens + 1) * channels;
    for (size_t i = 0; i < all; i++) {
        double sum = 0;
        for (size_t n = 0; n < (size_t)s->n; n++)
            sum += ref_load(s->type, a->dy, n * all + i);
        a->gradients[1][i] = (float)sum;
        if (i < channels)
            a->gradients[0][i] = (float)sum;
    }
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const embedding_shape *s = &((ref_embedding_plan *)self)->shape;
    size_t row = (size_t)s->channels * dtype_bytes(s->type), own = (size_t)s->tokens * row;
    for (size_t n = 0; n < (size_t)s->n; n++)
        memcpy((char *)a->dx[0] + n * own, (const char *)a->dy + n * (own + row) + row, own);
    return LS_OK;
}

const op ref_embedding = {
    .kind = &op_embedding,
    .plan_bytes = sizeof(ref_embedding_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
