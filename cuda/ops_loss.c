/* The loss on the cuda device. */
#include "kernels.h"
#include "ops_cuda.h"

int cuda_softmax_cross_entropy(device *self, device_stream *stream, int n, int classes, dtype type,
                               const void *logits, const int32_t *labels, float gradient_scale,
                               const step_state *state, void *dlogits, loss_totals *totals,
                               ls_error *error) {
    const cuda_device *cuda = cuda_enter(self);
    CUDA_TRY(kernel_softmax_cross_entropy(cuda_stream(stream), cuda->multiprocessors, type, n,
                                          classes, logits, labels, gradient_scale, state, dlogits,
                                          totals, cuda->scratch),
             "softmax_cross_entropy");
    return LS_OK;
}
