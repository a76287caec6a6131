/* Ops over whole arrays, and those on step_state, on the cuda device. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"

int cuda_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                       void *dy, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_relu_backward(cuda_stream(stream), type, count, y, dy), "relu_backward");
    return LS_OK;
}

int cuda_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
             void *to, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_add(cuda_stream(stream), type, count, from, to), "add");
    return LS_OK;
}

int cuda_cast(device *self, device_stream *stream, size_t count, dtype from_type, const void *from,
              dtype to_type, void *to, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_cast(cuda_stream(stream), count, from_type, from, to_type, to), "cast");
    return LS_OK;
}

int cuda_check_finite(device *self, device_stream *stream, const float *values, size_t count,
                      step_state *state, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_check_finite(cuda_stream(stream), values, count, state), "check_finite");
    return LS_OK;
}

int cuda_advance(device *self, device_stream *stream, step_state *state, int64_t images,
                 bool updated, bool scaling, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_advance(cuda_stream(stream), state, images, updated, scaling), "advance");
    return LS_OK;
}

int cuda_sums_of_squares(device *self, device_stream *stream, const float *values, size_t count,
                         double *out, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_sums_of_squares(cuda_stream(stream), values, count, out), "sums_of_squares");
    return LS_OK;
}

int cuda_fingerprint(device *self, device_stream *stream, const float *values, size_t first,
                     size_t count, fingerprint *out, ls_error *error) {
    const cuda_device *cuda = cuda_enter(self);
    CUDA_TRY(kernel_add_fingerprint(cuda_stream(stream), cuda->multiprocessors, values, first,
                                    count, out),
             "fingerprint");
    return LS_OK;
}
