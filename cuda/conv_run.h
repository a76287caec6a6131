/* One direction of a convolution, ready to be put into a stream: cuDNN's execution plan, the cast
 * that its 16 bit form of bias or dw needs (conv_graph.h), and where both have their scratch. */
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
    size_t dnn_offset;      /* in the workspace: the cast's memory comes first, then cuDNN's own */
    size_t workspace_bytes; /* of both */
    /* cuDNN's pack of the pointers of the latest call: in a run they are always the same. */
    cudnnBackendDescriptor_t pack;
    conv_pointers packed;
} conv_run;

/* Quiet: whether the choice builds. *out is zeroed where not. */
bool conv_run_build(const conv2d_shape *shape, conv_direction direction, const conv_choice *choice,
                    cudnnHandle_t handle, conv_run *out);
void conv_run_destroy(conv_run *self); /* zeroed is fine */

/* Puts it into `stream`: no allocation of device memory, no synchronisation. LS_FAILED where a
 * pointer that cuDNN reads or writes is not aligned to CONV_ALIGNMENT. */
int conv_run_execute(conv_run *self, cudaStream_t stream, const conv_pointers *pointers,
                     ls_error *error);

#endif
