/* A residual join: two tensors added element by element. */
#include "device/kinds/join.h"
#include "device/ref/ref.h"

#include <string.h>

const op_kind op_join = {"join"};

typedef struct ref_join_plan {
    plan base;
    join_shape shape;
} ref_join_plan;

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const join_shape *shape = wanted;
    LS_TRY(ref_check_type("join", shape->type, error));
    LS_TRY(plan_refuse_activation(self, shape->activation, error));
    ((ref_join_plan *)self)->shape = *shape;
    text_add(&self->description, "ref");
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const join_shape *shape = &((ref_join_plan *)self)->shape;
    for (size_t i = 0; i < shape->count; i++) {
        double sum = ref_load(shape->type, a->x[0], i) + ref_load(shape->type, a->x[1], i);
        if (shape->activation == ACTIVATION_RELU && !(sum > 0))
            sum = 0;
        ref_store(shape->type, a->y, i, sum);
    }
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const join_shape *shape = &((ref_join_plan *)self)->shape;
    for (int input = 0; input < 2; input++)
        if (a->dx[input] && a->dx[input] != a->dy)
            memcpy(a->dx[input], a->dy, shape->count * dtype_bytes(shape->type));
    return LS_OK;
}

const op ref_join = {
    .kind = &op_join,
    .plan_bytes = sizeof(ref_join_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
