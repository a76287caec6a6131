#include "device/cpu/winograd_kernels.h"

#include "device/cpu/forms.h"

#ifdef __x86_64__
const winograd_kernels *winograd_kernels_choose(bool bf16, int size) {
    static const winograd_kernels(*const forms[])[2] = {[CPU_FORM_BASE] = winograd_kernels_base,
                                                        [CPU_FORM_AVX2] = winograd_kernels_avx2,
                                                        [CPU_FORM_AVX512] =
                                                            winograd_kernels_avx512};
    return &forms[cpu_form_chosen()][bf16][size == 4];
}
#else
const winograd_kernels *winograd_kernels_choose(bool bf16, int size) {
    return &winograd_kernels_base[bf16][size == 4];
}
#endif
