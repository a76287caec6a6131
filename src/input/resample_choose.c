/* Where there are no vectors of ours: the compiler's. */
#include "input/resample_kernels.h"

const resample_kernels *resample_kernels_chosen(void) {
    return &resample_kernels_plain;
}
