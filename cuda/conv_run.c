#include "conv_run.h"
#include "cuda_device.h"
#include "kernels.h"

#include <stdint.h>
#include <string.h>

enum { SCRATCH_ALIGNMENT = 256 };

/* A bias or weights (dw) in our own memory, against what cuDNN is to see of them. */
typedef struct parameter {
    int64_t uid;
    const void *ours; /* NULL: not in this direction */
    dtype our_type, dnn_type;
    size_t count;
    bool is_result;
} parameter;

static parameter weights_of(const conv_run *self, const conv_pointers *pointers) {
    bool is_result = self->graph->direction == CONV_BACKWARD_WEIGHTS;
    dtype type = self->graph->shape.type;
    return (parameter){.uid = CONV_UID_WEIGHTS,
                       .ours = pointers->weights,
                       .our_type = is_result ? DTYPE_F32 : type,
                       .dnn_type = is_result ? self->choice.parameter_type : type,
                       .count = conv_weight_count(&self->graph->shape),
                       .is_result = is_result};
}

static parameter bias_of(const conv_run *self, const conv_pointers *pointers) {
    return (parameter){.uid = CONV_UID_BIAS,
                       .ours = self->graph->direction == CONV_FORWARD ? pointers->bias : NULL,
                       .our_type = DTYPE_F32,
                       .dnn_type = self->choice.parameter_type,
                       .count = (size_t)self->graph->shape.out_channels};
}

/* Whether cuDNN gets it by way of the workspace. */
static bool is_staged(const parameter *self) {
    return self->ours &&
           (self->our_type != self->dnn_type || (uintptr_t)self->ours % CONV_ALIGNMENT != 0);
}

static size_t scratch_bytes(size_t bytes) {
    return (bytes + SCRATCH_ALIGNMENT - 1) / SCRATCH_ALIGNMENT * SCRATCH_ALIGNMENT;
}

static int build(const conv2d_shape *shape, conv_direction direction, const conv_choice *choice,
                 cudnnHandle_t handle, conv_run *self, ls_error *error) {
    conv_target here = {NULL};
    if (choice->parameter_type != DTYPE_F32 && choice->parameter_type != shape->type)
        return ls_fail(error, LS_FAILED, "a choice of %s for tensors of %s",
                       dtype_name(choice->parameter_type), dtype_name(shape->type));
    LS_TRY(
        conv_graph_create(shape, direction, choice->parameter_type, handle, &self->graph, error));
    return conv_execution_build(self->graph, &here, &choice->engine, &self->execution, error);
}

int conv_run_build(const conv2d_shape *shape, conv_direction direction, const conv_choice *choice,
                   cudnnHandle_t handle, conv_run *out, ls_error *error) {
    memset(out, 0, sizeof *out);
    int status = build(shape, direction, choice, handle, out, error);
    if (status != LS_OK) {
        conv_run_destroy(out);
        return status;
    }
    out->choice = *choice;
    out->bias_offset = scratch_bytes(conv_tensor_bytes(out->graph, CONV_UID_WEIGHTS));
    out->dnn_offset =
        out->bias_offset + scratch_bytes(conv_tensor_bytes(out->graph, CONV_UID_BIAS));
    out->workspace_bytes = out->dnn_offset + (size_t)out->execution.workspace_bytes;
    return LS_OK;
}

void conv_run_destroy(conv_run *self) {
    descriptor_destroy(&self->pack);
    conv_execution_destroy(&self->execution);
    conv_graph_destroy(self->graph);
    memset(self, 0, sizeof *self);
}

static void *staging_of(const conv_run *self, int64_t uid, const conv_pointers *pointers) {
    return (char *)pointers->workspace + (uid == CONV_UID_BIAS ? self->bias_offset : 0);
}

static const void *pointer_of(const conv_run *self, int64_t uid, const conv_pointers *pointers) {
    if (uid == CONV_UID_INPUT)
        return pointers->input;
    if (uid == CONV_UID_OUTPUT)
        return pointers->output;
    parameter wanted = uid == CONV_UID_BIAS ? bias_of(self, pointers) : weights_of(self, pointers);
    return is_staged(&wanted) ? staging_of(self, uid, pointers) : wanted.ours;
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

static int make_pack(conv_run *self, const conv_pointers *pointers, bool *refused,
                     ls_error *error) {
    const void *addresses[CONV_MAX_TENSORS];
    for (int index = 0; index < self->graph->uid_count; index++)
        addresses[index] = pointer_of(self, self->graph->uids[index], pointers);
    LS_TRY(check_pointers(self, addresses, error));
    void *workspace =
        self->execution.workspace_bytes ? (char *)pointers->workspace + self->dnn_offset : NULL;
    descriptor_destroy(&self->pack);
    int status = conv_pack_build(self->graph, addresses, workspace, &self->pack, error);
    *refused = status != LS_OK;
    self->packed = *pointers;
    return status;
}

static bool is_packed(const conv_run *self, const conv_pointers *pointers) {
    return self->pack && self->packed.input == pointers->input &&
           self->packed.weights == pointers->weights && self->packed.output == pointers->output &&
           self->packed.bias == pointers->bias && self->packed.workspace == pointers->workspace;
}

/* Between our memory and the workspace, where cuDNN's side of it is. */
static int stage(const conv_run *self, cudaStream_t stream, const parameter *moved,
                 const conv_pointers *pointers, ls_error *error) {
    void *staging = staging_of(self, moved->uid, pointers);
    const void *from = moved->is_result ? staging : moved->ours;
    void *to = moved->is_result ? (void *)moved->ours : staging;
    if (!is_staged(moved))
        return LS_OK;
    if (moved->our_type == moved->dnn_type)
        CUDA_TRY(cudaMemcpyAsync(to, from, moved->count * dtype_bytes(moved->our_type),
                                 cudaMemcpyDeviceToDevice, stream),
                 "copying a convolution's parameters");
    else
        CUDA_TRY(kernel_cast(stream, moved->count,
                             moved->is_result ? moved->dnn_type : moved->our_type, from,
                             moved->is_result ? moved->our_type : moved->dnn_type, to),
                 "casting a convolution's parameters");
    return LS_OK;
}

static int execute(const conv_run *self, cudaStream_t stream, ls_error *error) {
    DNN_TRY(cudnnSetStream(self->graph->handle, stream), "setting its stream");
    DNN_TRY(cudnnBackendExecute(self->graph->handle, self->execution.plan, self->pack),
            conv_direction_name(self->graph->direction));
    return LS_OK;
}

int conv_run_execute(conv_run *self, cudaStream_t stream, const conv_pointers *pointers,
                     bool *refused, ls_error *error) {
    parameter weights = weights_of(self, pointers), bias = bias_of(self, pointers);
    *refused = false;
    if (!is_packed(self, pointers))
        LS_TRY(make_pack(self, pointers, refused, error));
    LS_TRY(stage(self, stream, &bias, pointers, error));
    if (!weights.is_result)
        LS_TRY(stage(self, stream, &weights, pointers, error));
    int status = execute(self, stream, error);
    *refused = status != LS_OK;
    if (status == LS_OK && weights.is_result)
        LS_TRY(stage(self, stream, &weights, pointers, error));
    return status;
}
