/* Global average pooling: its loops are in avgpool.c. */
#include "device/cpu/cpu.h"

typedef struct average_plan {
    plan base;
    avgpool2d_shape shape;
} average_plan;

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const avgpool2d_shape *shape = wanted;
    int planes = layout_plane_channels(shape->in_layout);
    LS_TRY(cpu_check_type("avgpool2d", shape->type, error));
    if (planes && shape->channels % planes)
        return ls_fail(error, LS_FAILED, "device cpu: avgpool2d: %d channels fill no planes of %d",
                       shape->channels, planes);
    ((average_plan *)base)->shape = *shape;
    text_add(&base->description, "loop");
    return LS_OK;
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    cpu_avgpool2d_forward(&((average_plan *)base)->shape, a->x[0], a->y);
    return LS_OK;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    cpu_avgpool2d_backward(&((average_plan *)base)->shape, a->dy, a->dx[0]);
    return LS_OK;
}

const op cpu_avgpool2d = {
    .kind = &op_avgpool2d,
    .plan_bytes = sizeof(average_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
