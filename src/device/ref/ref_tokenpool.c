/* Tokens pooled into one vector. */
#include "device/kinds/tokenpool.h"
#include "device/ref/ref.h"

const op_kind op_tokenpool = {"tokenpool"};

typedef struct ref_tokenpool_plan {
    plan base;
    tokenpool_shape shape;
} ref_tokenpool_plan;

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const tokenpool_shape *shape = wanted;
    LS_TRY(ref_check_type("tokenpool", shape->type, error));
    ((ref_tokenpool_plan *)self)->shape = *shape;
    text_add(&self->description, "ref");
    return LS_OK;
}

/* The weight of a token in y. */
static double share_of(const tokenpool_shape *s, size_t token) {
    if (!s->mean)
        return token == 0;
    return token == 0 ? 0 : 1 / (double)(s->tokens - 1);
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const tokenpool_shape *s = &((ref_tokenpool_plan *)self)->shape;
    size_t channels = (size_t)s->channels, tokens = (size_t)s->tokens;
    for (size_t n = 0; n < (size_t)s->n; n++)
        for (size_t c = 0; c < channels; c++) {
            double sum = 0;
            for (size_t token = s->mean; token < (s->mean ? tokens : 1); token++)
                sum += share_of(s, token) *
                       ref_load(s->type, a->x[0], (n * tokens + token) * channels + c);
            ref_store(s->type, a->y, n * channels + c, sum);
        }
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const tokenpool_shape *s = &((ref_tokenpool_plan *)self)->shape;
    size_t channels = (size_t)s->channels, tokens = (size_t)s->tokens;
    for (size_t n = 0; n < (size_t)s->n; n++)
        for (size_t token = 0; token < tokens; token++)
            for (size_t c = 0; c < channels; c++) {
                double share = share_of(s, token);
                double dy = ref_load(s->type, a->dy, n * channels + c);
                ref_store(s->type, a->dx[0], (n * tokens + token) * channels + c,
                          share > 0 ? share * dy : 0);
            }
    return LS_OK;
}

const op ref_tokenpool = {
    .kind = &op_tokenpool,
    .plan_bytes = sizeof(ref_tokenpool_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
