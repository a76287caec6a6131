/* One direction of a convolution, ready to be put into a stream: cuDNN's execution plan, and the
 * way of bias and weights through the workspace where cuDNN cannot have them as they are: in
 * another type (the 16 bit form of conv_graph.h), or at an address that is aligned to an element
 * only, as a tensor's in the flat arrays may be. */
#ifndef LOCKSTEP_CUDA_CONV_RUN_H
#define LOCKSTEP_CUDA_CONV_RUN_H

#include "choices.h"

/* Device memory of one call. weights: w as the shape's type has it, or dw as fp32 in
 * backward-weights; bias: fp32, forward only. */
typedef struct conv_pointers {
    const void *input, *weights, *output, *bias;
    void *workspace;
} conv_pointers;

typedef struct conv_run {
    conv_graph *graph;
    conv_execution execution;
    conv_choice choice;
    /* The workspace: weights on their way, the bias, then cuDNN's own. */
    size_t bias_offset, dnn_offset, workspace_bytes;
    /* cuDNN's pack of the pointers of the latest call: in a run they are always the same. */
    cudnnBackendDescriptor_t pack;
    conv_pointers packed;
} conv_run;

/* LS_FAILED where the choice does not build; *out is then zeroed. */
int conv_run_build(const conv2d_shape *shape, conv_direction direction, const conv_choice *choice,
                   cudnnHandle_t handle, conv_run *out, ls_error *error);
void conv_run_destroy(conv_run *self); /* zeroed is fine */

/* Puts it into `stream`: no allocation of device memory, no synchronisation. LS_FAILED where
 * input or output is not aligned to CONV_ALIGNMENT. *refused: it failed because cuDNN refuses it:
 * the result may be computed in another way. */
int conv_run_execute(conv_run *self, cudaStream_t stream, const conv_pointers *pointers,
                     bool *refused, ls_error *error);

#endif
