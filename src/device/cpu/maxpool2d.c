/* Max pooling: its loops are in pool.c, and pool_backward.c or pool_gather.c. */
#include "device/cpu/pool.h"

typedef struct pool_plan {
    plan base;
    maxpool2d_shape shape;
} pool_plan;

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const maxpool2d_shape *shape = wanted;
    LS_TRY(cpu_check_type("maxpool2d", shape->type, error));
    int in = layout_plane_channels(shape->in_layout);
    int others = layout_plane_channels(shape->out_layout);
    bool single = shape->in_layout == LAYOUT_NCHW || shape->out_layout == LAYOUT_NCHW;
    if ((in && others && in != others) || ((in || others) && single))
        return ls_fail(error, LS_FAILED,
                       "cpu max pooling: planes of unlike numbers of channels cannot be paired "
                       "(they share no run of channels)");
    LS_TRY(maxpool2d_check(base, shape, error));
    if (shape->window > 15)
        return ls_fail(error, LS_FAILED, "cpu max pooling: window %d is larger than 15",
                       shape->window);
    ((pool_plan *)base)->shape = *shape;
    pool_geometry geometry = cpu_pool_geometry(shape);
    base->saved_bytes = (size_t)shape->n * (size_t)shape->channels * (size_t)geometry.out_height *
                        (size_t)geometry.out_width;
    text_add(&base->description, "loop");
    return LS_OK;
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    cpu_maxpool2d_forward(&((pool_plan *)base)->shape, a->x[0], a->y, a->saved);
    return LS_OK;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    const maxpool2d_shape *shape = &((pool_plan *)base)->shape;
    bool apart = maxpool2d_stride(shape) == shape->window && shape->padding == 0;
    (apart ? cpu_maxpool2d_backward : cpu_maxpool2d_gather)(shape, a->dy, a->y, a->saved, a->dx[0]);
    return LS_OK;
}

const op cpu_maxpool2d = {
    .kind = &op_maxpool2d,
    .plan_bytes = sizeof(pool_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
