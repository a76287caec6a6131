/* The op table of the `ref` device, and its plans: a plan is no more than the shape. Weights are
 * used as they are, so nothing is packed and nothing needs scratch memory. */
#include "device/ref/ref.h"

#include <stdlib.h>

size_t ref_elements(tensor_layout layout, ref_shape shape) {
    size_t channels = (size_t)shape.channels;
    size_t lanes = (size_t)layout_plane_channels(layout);
    if (lanes)
        channels = (channels + lanes - 1) / lanes * lanes;
    return (size_t)shape.n * (size_t)shape.height * (size_t)shape.width * channels;
}

int ref_check_type(const char *op, dtype type, ls_error *error) {
    if (type == DTYPE_F32 || type == DTYPE_BF16 || type == DTYPE_F16)
        return LS_OK;
    return ls_fail(error, LS_FAILED,
                   "device ref: %s: expected activations in fp32, bf16 or fp16, found %s", op,
                   dtype_name(type));
}

int ref_plan_new(const ref_plan *source, plan **out, ls_error *error) {
    ref_plan *copy = malloc(sizeof *copy);
    if (!copy)
        return ls_fail(error, LS_FAILED, "device ref: out of memory");
    *copy = *source;
    *out = (plan *)copy;
    return LS_OK;
}

static void ref_plan_release(device *self, plan *plan) {
    (void)self;
    free(plan);
}

static size_t ref_plan_no_bytes(const plan *plan) {
    (void)plan;
    return 0;
}

static size_t ref_plan_saved_bytes(const plan *plan) {
    const ref_plan *self = ref_plan_of(plan);
    return self->op == REF_MAXPOOL2D ? ref_maxpool2d_saved_bytes(&self->maxpool2d) : 0;
}

static const char *ref_plan_describe(const plan *plan) {
    (void)plan;
    return "ref";
}

static int ref_pack_weights(plan *plan, device_stream *stream, const float *weights, void *packed,
                            ls_error *error) {
    (void)plan, (void)stream, (void)weights, (void)packed, (void)error;
    return LS_OK;
}

static tensor_layout ref_choose_layout(const device *self, layout_role role, int channels,
                                       dtype type) {
    (void)self, (void)role, (void)channels, (void)type;
    return LAYOUT_NHWC;
}

const ops ops_ref = {
    .choose_layout = ref_choose_layout,
    .conv2d_prepare = ref_conv2d_prepare,
    .maxpool2d_prepare = ref_maxpool2d_prepare,
    .linear_prepare = ref_linear_prepare,
    .plan_release = ref_plan_release,
    .plan_workspace_bytes = ref_plan_no_bytes,
    .plan_packed_bytes = ref_plan_no_bytes,
    .plan_packed_element = ref_plan_no_bytes,
    .plan_saved_bytes = ref_plan_saved_bytes,
    .plan_describe = ref_plan_describe,
    .pack_weights = ref_pack_weights,
    .conv2d_forward = ref_conv2d_forward,
    .conv2d_backward_data = ref_conv2d_backward_data,
    .conv2d_backward_weights = ref_conv2d_backward_weights,
    .linear_forward = ref_linear_forward,
    .linear_backward_data = ref_linear_backward_data,
    .linear_backward_weights = ref_linear_backward_weights,
    .maxpool2d_forward = ref_maxpool2d_forward,
    .maxpool2d_backward = ref_maxpool2d_backward,
    .relu_backward = ref_relu_backward,
    .softmax_cross_entropy = ref_softmax_cross_entropy,
    .make_batch = ref_make_batch,
    .add = ref_add,
    .adam = ref_adam,
    .sgd = ref_sgd,
    .check_finite = ref_check_finite,
    .advance = ref_advance,
    .cast = ref_cast,
    .sum_of_squares = ref_sum_of_squares,
    .fingerprint = ref_fingerprint,
};
