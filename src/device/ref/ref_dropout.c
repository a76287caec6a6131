/* Elements, or samples, left out at random. */
#include "device/kinds/dropout.h"
#include "device/ref/ref.h"

#include <string.h>

const op_kind op_dropout = {"dropout"};

typedef struct ref_dropout_plan {
    plan base;
    dropout_shape shape;
} ref_dropout_plan;

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const dropout_shape *shape = wanted;
    LS_TRY(ref_check_type("dropout", shape->type, error));
    ((ref_dropout_plan *)self)->shape = *shape;
    text_add(&self->description, "ref");
    return LS_OK;
}

static bool is_kept(const dropout_shape *s, const op_draws *draws, size_t sample, size_t element) {
    uint32_t drawn[4];
    uint64_t place = (uint64_t)draws->first + sample, at = s->whole ? 0 : element;
    random_block(draws->seed, RANDOM_DROPOUT, dropout_counter(s, draws),
                 place * dropout_blocks(s) + at / 4, drawn);
    return drawn[at % 4] >= dropout_least(s->rate);
}

/* Of x, or of y's gradient: both lose the same. */
static void leave_out(const dropout_shape *s, const op_arguments *a, const void *from, void *to) {
    for (size_t sample = 0; sample < (size_t)s->n; sample++)
        for (size_t element = 0; element < s->each; element++) {
            size_t i = sample * s->each + element;
            bool kept = is_kept(s, a->draws, sample, element);
            ref_store(s->type, to, i,
                      kept ? ref_load(s->type, from, i) * (double)dropout_scale(s) : 0);
        }
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const dropout_shape *s = &((ref_dropout_plan *)self)->shape;
    (void)error;
    if (a->training)
        leave_out(s, a, a->x[0], a->y);
    else
        memcpy(a->y, a->x[0], (size_t)s->n * s->each * dtype_bytes(s->type));
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    leave_out(&((ref_dropout_plan *)self)->shape, a, a->dy, a->dx[0]);
    return LS_OK;
}

const op ref_dropout = {
    .kind = &op_dropout,
    .plan_bytes = sizeof(ref_dropout_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
