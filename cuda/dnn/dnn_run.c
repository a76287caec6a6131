#include "cuda/dnn/dnn_run.h"
#include "cuda/device/cuda_device.h"
#include "cuda/kernels/kernels.h"

#include <stdint.h>
#include <string.h>

enum { SCRATCH_ALIGNMENT = 256 };

static const void *address_of(const dnn_tensor *tensor, const dnn_pointers *pointers) {
    return pointers->at[tensor->slot];
}

static bool is_aligned(const void *address) {
    return (uintptr_t)address % DNN_ALIGNMENT == 0;
}

/* As it lies in our memory in this call. */
static dtype stored_of(const dnn_run *self, const dnn_tensor *tensor,
                       const dnn_pointers *pointers) {
    return pointers->low >> tensor->slot & 1 ? self->problem->sums.type : tensor->stored;
}

/* Whether cuDNN gets it by way of the workspace. */
static bool is_staged(const dnn_run *self, const dnn_tensor *tensor, const dnn_pointers *pointers) {
    const void *address = address_of(tensor, pointers);
    return tensor->staged && address &&
           (stored_of(self, tensor, pointers) != tensor->type || !is_aligned(address));
}

static int build(const dnn_problem *problem, const dnn_choice *choice, cudnnHandle_t handle,
                 dnn_run *self, ls_error *error) {
    dnn_target here = {NULL};
    if (!dnn_problem_has_form(problem, choice->form))
        return ls_fail(error, LS_FAILED, "a choice of %s for tensors of %s",
                       dtype_name(choice->form), dtype_name(problem->sums.type));
    LS_TRY(dnn_problem_graph(problem, choice->form, handle, &self->graph, error));
    return dnn_execution_build(self->graph, &here, &choice->engine, &self->execution, error);
}

/* Every tensor that may be staged has a place, wherever its address will lie. */
static void lay_out_workspace(dnn_run *self) {
    size_t used = 0;
    for (int index = 0; index < self->graph->tensor_count; index++) {
        const dnn_tensor *tensor = &self->graph->tensors[index];
        size_t bytes = dnn_tensor_elements(tensor) * dtype_bytes(tensor->type);
        self->staging[index] = used;
        if (tensor->staged)
            used += (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
    }
    self->dnn_offset = used;
    self->workspace_bytes = used + (size_t)self->execution.workspace_bytes;
}

int dnn_run_build(const dnn_problem *problem, const dnn_choice *choice, cudnnHandle_t handle,
                  dnn_run *out, ls_error *error) {
    memset(out, 0, sizeof *out);
    int status = build(problem, choice, handle, out, error);
    if (status != LS_OK) {
        dnn_run_destroy(out);
        return status;
    }
    out->problem = problem;
    out->choice = *choice;
    lay_out_workspace(out);
    return LS_OK;
}

void dnn_run_destroy(dnn_run *self) {
    descriptor_destroy(&self->pack);
    dnn_execution_destroy(&self->execution);
    dnn_graph_destroy(self->graph);
    memset(self, 0, sizeof *self);
}

static int make_pack(dnn_run *self, const dnn_pointers *pointers, bool *refused, ls_error *error) {
    const void *addresses[DNN_MOST_ADDRESSES];
    for (int index = 0; index < self->graph->tensor_count; index++) {
        const dnn_tensor *tensor = &self->graph->tensors[index];
        if (tensor->kind == DNN_SCALAR) {
            addresses[index] = NULL;
            continue;
        }
        addresses[index] = is_staged(self, tensor, pointers)
                               ? (char *)pointers->workspace + self->staging[index]
                               : address_of(tensor, pointers);
        if (!addresses[index] || !is_aligned(addresses[index]))
            return ls_fail(error, LS_FAILED,
                           "cuDNN: %s: the address %p of its %s is not a multiple of %d bytes",
                           self->problem->key, addresses[index], tensor->name, DNN_ALIGNMENT);
    }
    void *workspace =
        self->execution.workspace_bytes ? (char *)pointers->workspace + self->dnn_offset : NULL;
    descriptor_destroy(&self->pack);
    int status = dnn_pack_build(self->graph, addresses, workspace, &self->pack, error);
    *refused = status != LS_OK;
    self->packed = *pointers;
    return status;
}

static bool is_packed(const dnn_run *self, const dnn_pointers *pointers) {
    return self->pack && self->packed.workspace == pointers->workspace &&
           self->packed.low == pointers->low &&
           memcmp(self->packed.at, pointers->at, sizeof pointers->at) == 0;
}

/* Between our memory and the workspace, where cuDNN's side of it is. */
static int stage(const dnn_run *self, const dnn_tensor *tensor, void *staging, cudaStream_t stream,
                 const dnn_pointers *pointers, ls_error *error) {
    bool written = tensor->kind == DNN_OUTPUT;
    dtype stored = stored_of(self, tensor, pointers);
    const void *from = written ? staging : address_of(tensor, pointers);
    void *to = written ? (void *)address_of(tensor, pointers) : staging;
    size_t count = dnn_tensor_elements(tensor);
    if (stored == tensor->type)
        CUDA_TRY(cudaMemcpyAsync(to, from, count * dtype_bytes(tensor->type),
                                 cudaMemcpyDeviceToDevice, stream),
                 "copying what cuDNN wants aligned");
    else
        CUDA_TRY(kernel_cast(stream, count, written ? tensor->type : stored, from,
                             written ? stored : tensor->type, to),
                 "casting what cuDNN wants in another type");
    return LS_OK;
}

static int stage_all(const dnn_run *self, dnn_tensor_kind kind, cudaStream_t stream,
                     const dnn_pointers *pointers, ls_error *error) {
    for (int index = 0; index < self->graph->tensor_count; index++) {
        const dnn_tensor *tensor = &self->graph->tensors[index];
        if (tensor->kind == kind && is_staged(self, tensor, pointers))
            LS_TRY(stage(self, tensor, (char *)pointers->workspace + self->staging[index], stream,
                         pointers, error));
    }
    return LS_OK;
}

static int execute(const dnn_run *self, cudaStream_t stream, ls_error *error) {
    DNN_TRY(cudnnSetStream(self->graph->handle, stream), "setting its stream");
    DNN_TRY(cudnnBackendExecute(self->graph->handle, self->execution.plan, self->pack),
            self->problem->name);
    return LS_OK;
}

int dnn_run_execute(dnn_run *self, cudaStream_t stream, const dnn_pointers *pointers, bool *refused,
                    ls_error *error) {
    *refused = false;
    if (!is_packed(self, pointers))
        LS_TRY(make_pack(self, pointers, refused, error));
    LS_TRY(stage_all(self, DNN_INPUT, stream, pointers, error));
    int status = execute(self, stream, error);
    *refused = status != LS_OK;
    return status == LS_OK ? stage_all(self, DNN_OUTPUT, stream, pointers, error) : status;
}
