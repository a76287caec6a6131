#include "safetensors/header.h"

#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} types[SAFETENSORS_TYPES] = {[SAFETENSORS_BOOL] = {"BOOL", 1}, [SAFETENSORS_U8] = {"U8", 1},
                              [SAFETENSORS_I8] = {"I8", 1},     [SAFETENSORS_U16] = {"U16", 2},
                              [SAFETENSORS_I16] = {"I16", 2},   [SAFETENSORS_U32] = {"U32", 4},
                              [SAFETENSORS_I32] = {"I32", 4},   [SAFETENSORS_U64] = {"U64", 8},
                              [SAFETENSORS_I64] = {"I64", 8},   [SAFETENSORS_F16] = {"F16", 2},
                              [SAFETENSORS_BF16] = {"BF16", 2}, [SAFETENSORS_F32] = {"F32", 4},
                              [SAFETENSORS_F64] = {"F64", 8}};

size_t safetensors_type_bytes(safetensors_type type) {
    return types[type].bytes;
}

const char *safetensors_type_name(safetensors_type type) {
    return types[type].name;
}

int safetensors_type_of(const char *name) {
    for (int type = 0; type < SAFETENSORS_TYPES; type++)
        if (strcmp(types[type].name, name) == 0)
            return type;
    return -1;
}

int safetensors_measure(safetensors_tensor *tensor) {
    int64_t elements = 1, bytes;
    for (int dim = 0; dim < tensor->dim_count; dim++) /* 0 x too many is 0 */
        if (tensor->dims[dim] == 0)
            elements = 0;
    for (int dim = 0; dim < tensor->dim_count; dim++)
        if (__builtin_mul_overflow(elements, tensor->dims[dim], &elements))
            return LS_BAD_INPUT;
    if (__builtin_mul_overflow(elements, (int64_t)types[tensor->type].bytes, &bytes))
        return LS_BAD_INPUT;
    tensor->elements = elements;
    tensor->bytes = bytes;
    return LS_OK;
}
