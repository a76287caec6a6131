/* Patches of an image on the cuda device: checks, and the launches. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/patches.h"

typedef struct patches_plan {
    plan base;
    patches_shape shape;
} patches_plan;

static patch_arguments arguments_of(const patches_shape *shape) {
    return (patch_arguments){shape->n, shape->height, shape->width, shape->channels, shape->side};
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const patches_shape *shape = wanted;
    patch_arguments arguments = arguments_of(shape);
    LS_TRY(cuda_check_type("patches", shape->type, error));
    if (shape->in_layout != LAYOUT_NHWC)
        return ls_fail(error, LS_FAILED, "cuda patches: expected a channels-last image");
    if (!kernel_patches_fit(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda patches: [%d, %d, %d, %d] has more than 2^31 - 1 elements; give a "
                       "smaller batch",
                       shape->n, shape->height, shape->width, shape->channels);
    ((patches_plan *)self)->shape = *shape;
    text_add(&self->description, "kernel, %s", dtype_name(shape->type));
    return LS_OK;
}

static int move(plan *self, const op_arguments *a, bool back, const void *from, void *to,
                ls_error *error) {
    const patches_shape *shape = &((const patches_plan *)self)->shape;
    patch_arguments arguments = arguments_of(shape);
    cuda_enter_plan(self);
    CUDA_TRY(kernel_move_patches(cuda_stream(a->stream), shape->type, &arguments, back, from, to),
             "patches");
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    return move(self, a, false, a->x[0], a->y, error);
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    return move(self, a, true, a->dy, a->dx[0], error);
}

const op cuda_patches = {
    .kind = &op_patches,
    .plan_bytes = sizeof(patches_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
