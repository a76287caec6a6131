/* Linear layers of the cuda device by cuBLASLt (device/kinds/linear.h). */
#ifndef LOCKSTEP_CUDA_BLAS_LINEAR_H
#define LOCKSTEP_CUDA_BLAS_LINEAR_H

#include "cuda/device/cuda_device.h"

extern const op cuda_linear;

#endif
