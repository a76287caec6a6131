/* An epoch's begin on the cuda device. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"

int cuda_begin_epoch(device *self, device_stream *stream, const epoch_arguments *arguments,
                     ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_begin_epoch(cuda_stream(stream), arguments), "begin_epoch");
    return LS_OK;
}
