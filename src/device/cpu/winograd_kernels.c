#include "device/cpu/winograd_kernels.h"

#include "base/vectorised.h"

const winograd_kernels *winograd_kernels_choose(int size) {
    int index = size == 4;
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx512f"))
        return &winograd_kernels_avx512[index];
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))
        return &winograd_kernels_avx2[index];
#endif
    return &winograd_kernels_base[index];
}
