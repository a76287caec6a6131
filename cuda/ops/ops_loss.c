/* The loss on the cuda device. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"

int cuda_softmax_cross_entropy(device *self, device_stream *stream, const loss_arguments *arguments,
                               ls_error *error) {
    const cuda_device *cuda = cuda_enter(self);
    CUDA_TRY(kernel_softmax_cross_entropy(cuda_stream(stream), cuda->multiprocessors, arguments,
                                          cuda->scratch),
             "softmax_cross_entropy");
    return LS_OK;
}
