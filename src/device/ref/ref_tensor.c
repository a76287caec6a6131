#include "device/ref/ref.h"

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
