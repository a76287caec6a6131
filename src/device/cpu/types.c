#include "device/cpu/cpu.h"

int cpu_check_type(const char *op, dtype type, ls_error *error) {
    if (type == DTYPE_F32 || (type == DTYPE_BF16 && onednn_has_bf16()))
        return LS_OK;
    return ls_fail(error, LS_FAILED, "device cpu: %s: expected activations in fp32%s, found %s", op,
                   onednn_has_bf16() ? " or bf16" : "", dtype_name(type));
}
