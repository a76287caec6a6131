/* The tables of the cuda device's ops. Activations are
 * channels last everywhere: cuDNN's tensor cores want it, and a flattened tensor then lies as the
 * canonical weights count it. */
#include "cuda/ops/ops_cuda.h"
#include "cuda/blas/linear.h"
#include "cuda/dnn/attention.h"
#include "cuda/dnn/conv.h"

/* cuDNN's tensor-core engines take 16 bit images of a multiple of 8 channels, and pad others
 * themselves, in a pass of their own each time. */
static tensor_layout choose_layout(const device *self, layout_role role, int channels, dtype type) {
    bool avoided = ((const cuda_device *)self)->avoided & CUDA_AVOID_PADDED_INPUT;
    if (role != LAYOUT_ROLE_INPUT || type == DTYPE_F32 || channels % 8 == 0 || avoided)
        return LAYOUT_NHWC;
    return LAYOUT_NHWC_PADDED;
}

/* Kinds of ops: one that is not here is refused by name. */
const op *const cuda_kinds[] = {&cuda_conv2d,
                                &cuda_linear,
                                &cuda_maxpool2d,
                                &cuda_join,
                                &cuda_batchnorm2d,
                                &cuda_avgpool2d,
                                &cuda_layernorm,
                                &cuda_attention,
                                &cuda_patches,
                                &cuda_embedding,
                                &cuda_tokenpool,
                                &cuda_dropout,
                                NULL};

int cuda_check_type(const char *kind, dtype type, ls_error *error) {
    if (type == DTYPE_F32 || type == DTYPE_BF16 || type == DTYPE_F16)
        return LS_OK;
    return ls_fail(error, LS_FAILED, "cuda %s: expected fp32, bf16 or fp16 activations, found %s",
                   kind, dtype_name(type));
}

const ops ops_cuda = {
    .choose_layout = choose_layout,
    .relu_backward = cuda_relu_backward,
    .softmax_cross_entropy = cuda_softmax_cross_entropy,
    .make_batch = cuda_make_batch,
    .add = cuda_add,
    .adam = cuda_adam,
    .sgd = cuda_sgd,
    .average = cuda_average,
    .clip_norm = cuda_clip_norm,
    .check_finite = cuda_check_finite,
    .advance = cuda_advance,
    .begin_epoch = cuda_begin_epoch,
    .cast = cuda_cast,
    .sums_of_squares = cuda_sums_of_squares,
    .fingerprint = cuda_fingerprint,
};
