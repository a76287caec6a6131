// The one way to launch a kernel: LS_LAUNCH(kernel, blocks, threads, stream, arguments...), which
// is a cudaError_t. The same .cu files are compiled by nvcc and, for tests on a machine without a
// GPU, by a host compiler (tests/emulated/), for which g++ could not parse <<<>>>. Kernels use
// static shared memory only.
#ifndef LOCKSTEP_CUDA_KERNELS_LAUNCH_CUH
#define LOCKSTEP_CUDA_KERNELS_LAUNCH_CUH

#ifdef LOCKSTEP_EMULATED
#include "emulated_launch.h"
#else
#include <cuda_runtime.h>

#define LS_LAUNCH(kernel, blocks, threads, stream, ...)                                            \
    (kernel<<<(blocks), (threads), 0, (stream)>>>(__VA_ARGS__), cudaPeekAtLastError())
#endif

#endif
