/* Ops that look at one element at a time. */
#include "device/ref/ref.h"

int ref_relu_backward(device *self, device_stream *stream, size_t count, dtype type, const void *y,
                      void *dy, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(ref_check_type("relu_backward", type, error));
    for (size_t i = 0; i < count; i++)
        if (!(ref_load(type, y, i) > 0))
            ref_store(type, dy, i, 0);
    return LS_OK;
}

int ref_add(device *self, device_stream *stream, size_t count, dtype type, const void *from,
            void *to, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(ref_check_type("add", type, error));
    for (size_t i = 0; i < count; i++)
        ref_store(type, to, i, ref_load(type, to, i) + ref_load(type, from, i));
    return LS_OK;
}

int ref_cast(device *self, device_stream *stream, size_t count, dtype from_type, const void *from,
             dtype to_type, void *to, ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(ref_check_type("cast", from_type, error));
    LS_TRY(ref_check_type("cast", to_type, error));
    for (size_t i = 0; i < count; i++)
        ref_store(to_type, to, i, ref_load(from_type, from, i));
    return LS_OK;
}
