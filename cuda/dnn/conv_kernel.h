/* A convolution where cuDNN computes none: our kernels, and what its problem (conv_graph.h) is to
 * call. */
#ifndef LOCKSTEP_CUDA_DNN_CONV_KERNEL_H
#define LOCKSTEP_CUDA_DNN_CONV_KERNEL_H

#include "cuda/dnn/dnn_problem.h"

/* dnn_problem.kernel of a conv_problem. */
cudaError_t conv_kernel(const dnn_problem *problem, cudaStream_t stream,
                        const dnn_pointers *pointers);

#endif
