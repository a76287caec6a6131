/* A residual join in one pass. */
#include "device/kinds/join.h"
#include "device/cpu/cpu.h"

typedef struct join_plan {
    plan base;
    join_shape shape;
} join_plan;

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const join_shape *shape = wanted;
    LS_TRY(cpu_check_type("join", shape->type, error));
    LS_TRY(plan_refuse_activation(base, shape->activation, error));
    ((join_plan *)base)->shape = *shape;
    text_add(&base->description, "loop");
    return LS_OK;
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const join_shape *shape = &((join_plan *)base)->shape;
    cpu_add_two(shape->type, shape->count, a->x[0], a->x[1], shape->activation == ACTIVATION_RELU,
                a->y);
    return LS_OK;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    const join_shape *shape = &((join_plan *)base)->shape;
    size_t bytes = shape->count * dtype_bytes(shape->type);
    for (int input = 0; input < 2; input++)
        if (a->dx[input] && a->dx[input] != a->dy)
            LS_TRY(base->device->is->copy(base->device, a->stream, a->dx[input], a->dy, bytes,
                                          COPY_ON_DEVICE, error));
    return LS_OK;
}

const op cpu_join = {
    .kind = &op_join,
    .plan_bytes = sizeof(join_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
