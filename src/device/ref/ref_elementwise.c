/* Ops that look at one element at a time. */
#include "device/ref/ref.h"

int ref_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                      void *dy, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(ref_check_type("relu_backward", type, error));
    const float *out = y;
    float *gradient = dy;
    for (size_t i = 0; i < count; i++)
        gradient[i] = out[i] > 0 ? gradient[i] : 0;
    return LS_OK;
}

int ref_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
            void *to, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(ref_check_type("add", type, error));
    const float *source = from;
    float *target = to;
    for (size_t i = 0; i < count; i++)
        target[i] += source[i];
    return LS_OK;
}
