/* A problem with a choice of an engine, ready to be put into a stream: cuDNN's execution plan, and
 * the way through the workspace of those tensors that cuDNN cannot have as they are: in another
 * type (dnn_tensor.stored), or at an address that is aligned to an element only, as a parameter's
 * in the flat arrays may be. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_RUN_H
#define LOCKSTEP_CUDA_DNN_DNN_RUN_H

#include "cuda/dnn/dnn_engine.h"
#include "cuda/dnn/dnn_problem.h"

typedef struct dnn_run {
    const dnn_problem *problem;
    dnn_graph *graph;
    dnn_execution execution;
    dnn_choice choice;
    /* The workspace: the staged tensors on their way, then cuDNN's own. */
    size_t staging[DNN_MOST_ADDRESSES], dnn_offset, workspace_bytes;
    /* cuDNN's pack of the pointers of the latest call: in a run they are always the same. */
    cudnnBackendDescriptor_t pack;
    dnn_pointers packed;
} dnn_run;

/* LS_FAILED where the choice does not build; *out is then zeroed. `problem` must outlive it. */
int dnn_run_build(const dnn_problem *problem, const dnn_choice *choice, cudnnHandle_t handle,
                  dnn_run *out, ls_error *error);
void dnn_run_destroy(dnn_run *self); /* zeroed is fine */

/* Puts it into `stream`: no allocation of device memory, no synchronisation. LS_FAILED where a
 * tensor is not aligned to DNN_ALIGNMENT that is not staged. *refused: it failed because cuDNN
 * refuses it: the result may be computed in another way. */
int dnn_run_execute(dnn_run *self, cudaStream_t stream, const dnn_pointers *pointers, bool *refused,
                    ls_error *error);

#endif
