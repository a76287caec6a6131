#include "conv_run.h"
#include "cuda_device.h"
#include "kernels.h"

#include <stdint.h>
#include <string.h>

enum { SCRATCH_ALIGNMENT = 256 };

static bool casts_bias(const conv_run *self) {
    return self->graph->direction == CONV_FORWARD && self->choice.parameter_type != DTYPE_F32;
}

static bool casts_gradient(const conv_run *self) {
    return self->graph->direction == CONV_BACKWARD_WEIGHTS &&
           self->choice.parameter_type != DTYPE_F32;
}

static size_t cast_bytes(const conv_run *self) {
    size_t bytes = casts_bias(self)       ? conv_tensor_bytes(self->graph, CONV_UID_BIAS)
                   : casts_gradient(self) ? conv_tensor_bytes(self->graph, CONV_UID_WEIGHTS)
                                          : 0;
    return (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
}

bool conv_run_build(const conv2d_shape *shape, conv_direction direction, const conv_choice *choice,
                    cudnnHandle_t handle, conv_run *out) {
    ls_error ignored = {0};
    conv_target here = {NULL};
    memset(out, 0, sizeof *out);
    if (choice->parameter_type != DTYPE_F32 && choice->parameter_type != shape->type)
        return false;
    if (conv_graph_create(shape, direction, choice->parameter_type, handle, &out->graph,
                          &ignored) != LS_OK)
        return false;
    out->choice = *choice;
    if (!conv_execution_build(out->graph, &here, &choice->engine, &out->execution)) {
        conv_run_destroy(out);
        return false;
    }
    out->dnn_offset = cast_bytes(out);
    out->workspace_bytes = out->dnn_offset + (size_t)out->execution.workspace_bytes;
    return true;
}

void conv_run_destroy(conv_run *self) {
    descriptor_destroy(&self->pack);
    conv_execution_destroy(&self->execution);
    conv_graph_destroy(self->graph);
    memset(self, 0, sizeof *self);
}

static const void *pointer_of(const conv_run *self, int64_t uid, const conv_pointers *pointers) {
    switch (uid) {
    case CONV_UID_INPUT:
        return pointers->input;
    case CONV_UID_WEIGHTS:
        return casts_gradient(self) ? pointers->workspace : pointers->weights;
    case CONV_UID_BIAS:
        return casts_bias(self) ? pointers->workspace : pointers->bias;
    default:
        return pointers->output;
    }
}

static int check_pointers(const conv_run *self, const void *const *addresses, ls_error *error) {
    char shape[CONV_SHAPE_TEXT_BYTES];
    for (int index = 0; index < self->graph->uid_count; index++)
        if (!addresses[index] || (uintptr_t)addresses[index] % CONV_ALIGNMENT) {
            static const char *const names[] = {"", "input", "weights", "output", "bias"};
            conv_shape_text(&self->graph->shape, self->graph->direction, shape);
            return ls_fail(error, LS_FAILED,
                           "cuDNN: %s: the address %p of its %s is not a multiple of %d bytes",
                           shape, addresses[index], names[self->graph->uids[index]],
                           CONV_ALIGNMENT);
        }
    return LS_OK;
}

static int make_pack(conv_run *self, const conv_pointers *pointers, ls_error *error) {
    const void *addresses[CONV_MAX_TENSORS];
    for (int index = 0; index < self->graph->uid_count; index++)
        addresses[index] = pointer_of(self, self->graph->uids[index], pointers);
    LS_TRY(check_pointers(self, addresses, error));
    void *workspace =
        self->execution.workspace_bytes ? (char *)pointers->workspace + self->dnn_offset : NULL;
    descriptor_destroy(&self->pack);
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "a variant pack");
    descriptor_set(&builder, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64,
                   self->graph->uid_count, self->graph->uids);
    descriptor_set(&builder, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                   self->graph->uid_count, addresses);
    descriptor_set(&builder, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    LS_TRY(descriptor_finish(&builder, &self->pack, error));
    self->packed = *pointers;
    return LS_OK;
}

static bool is_packed(const conv_run *self, const conv_pointers *pointers) {
    return self->pack && self->packed.input == pointers->input &&
           self->packed.weights == pointers->weights && self->packed.output == pointers->output &&
           self->packed.bias == pointers->bias && self->packed.workspace == pointers->workspace;
}

int conv_run_execute(conv_run *self, cudaStream_t stream, const conv_pointers *pointers,
                     ls_error *error) {
    const conv2d_shape *shape = &self->graph->shape;
    if (!is_packed(self, pointers))
        LS_TRY(make_pack(self, pointers, error));
    if (casts_bias(self))
        CUDA_TRY(kernel_cast(stream, (size_t)shape->out_channels, DTYPE_F32, pointers->bias,
                             self->choice.parameter_type, pointers->workspace),
                 "casting a bias");
    DNN_TRY(cudnnSetStream(self->graph->handle, stream), "setting its stream");
    DNN_TRY(cudnnBackendExecute(self->graph->handle, self->execution.plan, self->pack),
            conv_direction_name(self->graph->direction));
    if (casts_gradient(self))
        CUDA_TRY(kernel_cast(stream, conv_weight_count(shape), self->choice.parameter_type,
                             pointers->workspace, DTYPE_F32, (void *)pointers->weights),
                 "casting a weight gradient");
    return LS_OK;
}
