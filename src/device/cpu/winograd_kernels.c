#include "device/cpu/winograd_kernels.h"

#include <dnnl.h>

#ifdef __x86_64__
/* As oneDNN sees the CPU, so that DNNL_MAX_CPU_ISA limits both alike. */
static bool has(dnnl_cpu_isa_t needed) {
    return ((int)dnnl_get_effective_cpu_isa() & (int)needed) == (int)needed;
}

const winograd_kernels *winograd_kernels_choose(int size) {
    int index = size == 4;
    if (has(dnnl_cpu_isa_avx512_core))
        return &winograd_kernels_avx512[index];
    if (has(dnnl_cpu_isa_avx2) && __builtin_cpu_supports("fma"))
        return &winograd_kernels_avx2[index];
    return &winograd_kernels_base[index];
}
#else
const winograd_kernels *winograd_kernels_choose(int size) {
    return &winograd_kernels_base[size == 4];
}
#endif
