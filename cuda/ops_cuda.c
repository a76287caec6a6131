/* The table of the cuda device's ops, and what all its plans have in common. Activations are
 * channels last everywhere: cuDNN's tensor cores want it, and a flattened tensor then lies as the
 * canonical weights count it. */
#include "ops_cuda.h"
#include "conv.h"
#include "linear.h"

#include <stdlib.h>

static tensor_layout choose_layout(const device *self, layout_role role, int channels, dtype type) {
    (void)self, (void)role, (void)channels, (void)type;
    return LAYOUT_NHWC;
}

int cuda_plan_create(device *self, cuda_plan_kind kind, cuda_plan **out, ls_error *error) {
    cuda_device *device = cuda_enter(self);
    cuda_plan *made = calloc(1, sizeof *made);
    if (!made)
        return ls_fail(error, LS_FAILED, "out of memory");
    made->device = device;
    made->kind = kind;
    *out = made;
    return LS_OK;
}

void cuda_plan_release(device *self, plan *plan) {
    if (!plan)
        return;
    cuda_enter(self);
    cuda_plan *made = cuda_plan_of(plan);
    if (made->release_detail)
        made->release_detail(made->detail);
    free(made);
}

static size_t plan_workspace_bytes(const plan *plan) {
    return ((const cuda_plan *)plan)->workspace_bytes;
}

static size_t plan_packed_bytes(const plan *plan) {
    return ((const cuda_plan *)plan)->packed_bytes;
}

static size_t plan_packed_element(const plan *plan) {
    const cuda_plan *made = (const cuda_plan *)plan;
    return made->packed_bytes ? dtype_bytes(made->packed_type) : 0;
}

static size_t plan_saved_bytes(const plan *plan) {
    return ((const cuda_plan *)plan)->saved_bytes;
}

static const char *plan_describe(const plan *plan) {
    cuda_plan *made = (cuda_plan *)plan; /* its text is no part of what it computes */
    if (made->describe)
        made->describe(made);
    return made->description;
}

/* Canonical weights, rounded element by element. */
static int pack_weights(plan *plan, device_stream *stream, const float *weights, void *packed,
                        ls_error *error) {
    cuda_plan *made = cuda_plan_of(plan);
    if (made->packed_bytes == 0)
        return LS_OK;
    return cuda_cast(&made->device->base, stream,
                     made->packed_bytes / dtype_bytes(made->packed_type), DTYPE_F32, weights,
                     made->packed_type, packed, error);
}

const ops ops_cuda = {
    .choose_layout = choose_layout,
    .conv2d_prepare = cuda_conv2d_prepare,
    .maxpool2d_prepare = cuda_maxpool2d_prepare,
    .linear_prepare = cuda_linear_prepare,
    .plan_release = cuda_plan_release,
    .plan_workspace_bytes = plan_workspace_bytes,
    .plan_packed_bytes = plan_packed_bytes,
    .plan_packed_element = plan_packed_element,
    .plan_saved_bytes = plan_saved_bytes,
    .plan_describe = plan_describe,
    .pack_weights = pack_weights,
    .conv2d_forward = cuda_conv2d_forward,
    .conv2d_backward_data = cuda_conv2d_backward_data,
    .conv2d_backward_weights = cuda_conv2d_backward_weights,
    .linear_forward = cuda_linear_forward,
    .linear_backward_data = cuda_linear_backward_data,
    .linear_backward_weights = cuda_linear_backward_weights,
    .maxpool2d_forward = cuda_maxpool2d_forward,
    .maxpool2d_backward = cuda_maxpool2d_backward,
    .relu_backward = cuda_relu_backward,
    .softmax_cross_entropy = cuda_softmax_cross_entropy,
    .make_batch = cuda_make_batch,
    .add = cuda_add,
    .adam = cuda_adam,
    .sgd = cuda_sgd,
    .check_finite = cuda_check_finite,
    .advance = cuda_advance,
    .cast = cuda_cast,
    .sum_of_squares = cuda_sum_of_squares,
    .fingerprint = cuda_fingerprint,
};
