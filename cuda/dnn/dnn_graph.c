#include "cuda/dnn/dnn_graph.h"

#include <stdlib.h>

void dnn_tensor_lies_channels_last(dnn_tensor *self, int64_t n, int64_t channels, int64_t height,
                                   int64_t width) {
    self->dimensions = 4;
    self->sizes[0] = n;
    self->sizes[1] = channels;
    self->sizes[2] = height;
    self->sizes[3] = width;
    self->strides[0] = height * width * channels;
    self->strides[1] = 1;
    self->strides[2] = width * channels;
    self->strides[3] = channels;
}

size_t dnn_tensor_elements(const dnn_tensor *self) {
    size_t count = 1;
    for (int index = 0; index < self->dimensions; index++)
        count *= (size_t)self->sizes[index];
    return count;
}

size_t dnn_tensor_extent(const dnn_tensor *self) {
    size_t last = 0;
    for (int index = 0; index < self->dimensions; index++)
        last += (size_t)(self->sizes[index] - 1) * (size_t)self->strides[index];
    return last + 1;
}

static bool has_memory(const dnn_tensor *tensor) {
    return tensor->kind == DNN_INPUT || tensor->kind == DNN_OUTPUT;
}

/* Those with a slot have 1 .. DNN_SLOTS. */
static int64_t id_of(dnn_graph *self, const dnn_tensor *tensor) {
    return has_memory(tensor) ? tensor->slot + 1 : DNN_SLOTS + ++self->nameless;
}

static cudnnDataType_t dnn_type(dtype type) {
    return type == DTYPE_BF16  ? CUDNN_DATA_BFLOAT16
           : type == DTYPE_F16 ? CUDNN_DATA_HALF
                               : CUDNN_DATA_FLOAT;
}

static int append(cudnnBackendDescriptor_t **list, int *count, cudnnBackendDescriptor_t added,
                  ls_error *error) {
    cudnnBackendDescriptor_t *grown = realloc(*list, (size_t)(*count + 1) * sizeof *grown);
    if (!grown)
        return ls_fail(error, LS_FAILED, "out of host memory");
    grown[(*count)++] = added;
    *list = grown;
    return LS_OK;
}

int dnn_graph_own(dnn_graph *self, descriptor_builder *builder, cudnnBackendDescriptor_t *out,
                  ls_error *error) {
    LS_TRY(descriptor_finish(builder, out, error));
    int status = append(&self->owned, &self->owned_count, *out, error);
    if (status != LS_OK)
        descriptor_destroy(out);
    return status;
}

static int check_tensor(const dnn_graph *self, const dnn_tensor *tensor, ls_error *error) {
    int scalars = 0;
    if (has_memory(tensor) && (tensor->slot < 0 || tensor->slot >= DNN_SLOTS))
        return ls_fail(error, LS_FAILED, "cuDNN: %s has slot %d of %d", tensor->name, tensor->slot,
                       DNN_SLOTS);
    for (int index = 0; index < self->tensor_count; index++) {
        const dnn_tensor *other = &self->tensors[index];
        if (has_memory(tensor) && has_memory(other) && other->slot == tensor->slot)
            return ls_fail(error, LS_FAILED, "cuDNN: %s and %s have one slot", other->name,
                           tensor->name);
        scalars += other->kind == DNN_SCALAR;
    }
    if (tensor->kind == DNN_SCALAR && scalars == DNN_MOST_SCALARS)
        return ls_fail(error, LS_FAILED, "cuDNN: a graph of more than %d scalars",
                       DNN_MOST_SCALARS);
    return LS_OK;
}

int dnn_graph_add_tensor(dnn_graph *self, const dnn_tensor *tensor, cudnnBackendDescriptor_t *out,
                         ls_error *error) {
    LS_TRY(check_tensor(self, tensor, error));
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_TENSOR_DESCRIPTOR, "a tensor");
    int64_t id = id_of(self, tensor);
    descriptor_set_int64(&builder, CUDNN_ATTR_TENSOR_UNIQUE_ID, id);
    descriptor_set_type(&builder, CUDNN_ATTR_TENSOR_DATA_TYPE, dnn_type(tensor->type));
    descriptor_set(&builder, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, tensor->dimensions,
                   tensor->sizes);
    descriptor_set(&builder, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, tensor->dimensions,
                   tensor->strides);
    descriptor_set_int64(&builder, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, DNN_ALIGNMENT);
    if (tensor->kind == DNN_VIRTUAL)
        descriptor_set_bool(&builder, CUDNN_ATTR_TENSOR_IS_VIRTUAL, true);
    if (tensor->kind == DNN_SCALAR)
        descriptor_set_bool(&builder, CUDNN_ATTR_TENSOR_IS_BY_VALUE, true);
    LS_TRY(dnn_graph_own(self, &builder, out, error));
    if (tensor->kind == DNN_VIRTUAL)
        return LS_OK;
    self->ids[self->tensor_count] = id;
    self->tensors[self->tensor_count++] = *tensor;
    return LS_OK;
}

int dnn_graph_add_operation(dnn_graph *self, descriptor_builder *builder, ls_error *error) {
    cudnnBackendDescriptor_t made;
    LS_TRY(dnn_graph_own(self, builder, &made, error));
    return append(&self->operations, &self->operation_count, made, error);
}

int dnn_graph_add_pointwise(dnn_graph *self, const char *what, cudnnPointwiseMode_t mode,
                            cudnnBackendDescriptor_t from, cudnnBackendDescriptor_t with,
                            cudnnBackendDescriptor_t to, ls_error *error) {
    cudnnBackendDescriptor_t pointwise;
    descriptor_builder kind = descriptor_begin(CUDNN_BACKEND_POINTWISE_DESCRIPTOR, what);
    descriptor_set(&kind, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    descriptor_set_type(&kind, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    LS_TRY(dnn_graph_own(self, &kind, &pointwise, error));

    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR, what);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, pointwise);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, from);
    if (with)
        descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, with);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, to);
    return dnn_graph_add_operation(self, &builder, error);
}

int dnn_graph_add_matmul(dnn_graph *self, const char *what, cudnnBackendDescriptor_t left,
                         cudnnBackendDescriptor_t right, cudnnBackendDescriptor_t to,
                         ls_error *error) {
    cudnnBackendDescriptor_t kind;
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_MATMUL_DESCRIPTOR, what);
    descriptor_set_type(&builder, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT);
    LS_TRY(dnn_graph_own(self, &builder, &kind, error));
    builder = descriptor_begin(CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR, what);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_MATMUL_DESC, kind);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_MATMUL_ADESC, left);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_MATMUL_BDESC, right);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_MATMUL_CDESC, to);
    return dnn_graph_add_operation(self, &builder, error);
}

int dnn_graph_add_reduction(dnn_graph *self, const char *what, cudnnReduceTensorOp_t operator,
                            cudnnBackendDescriptor_t from, cudnnBackendDescriptor_t to,
                            ls_error *error) {
    cudnnBackendDescriptor_t kind;
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_REDUCTION_DESCRIPTOR, what);
    descriptor_set(&builder, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1,
                   &operator);
    descriptor_set_type(&builder, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    LS_TRY(dnn_graph_own(self, &builder, &kind, error));
    builder = descriptor_begin(CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR, what);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_REDUCTION_DESC, kind);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, from);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, to);
    return dnn_graph_add_operation(self, &builder, error);
}

int dnn_graph_add_reshape(dnn_graph *self, const char *what, cudnnBackendDescriptor_t from,
                          cudnnBackendDescriptor_t to, ls_error *error) {
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR, what);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, from);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, to);
    return dnn_graph_add_operation(self, &builder, error);
}

int dnn_graph_finish(dnn_graph *self, ls_error *error) {
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR, "an operation graph");
    descriptor_set_handle(&builder, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, self->handle);
    descriptor_set(&builder, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                   self->operation_count, self->operations);
    return dnn_graph_own(self, &builder, &self->made, error);
}

int dnn_graph_create(const dnn_sums *sums, cudnnHandle_t handle, dnn_graph **out, ls_error *error) {
    dnn_graph *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of host memory");
    self->sums = *sums;
    self->handle = handle;
    *out = self;
    return LS_OK;
}

void dnn_graph_destroy(dnn_graph *self) {
    if (!self)
        return;
    while (self->owned_count > 0)
        descriptor_destroy(&self->owned[--self->owned_count]);
    free(self->owned);
    free(self->operations);
    free(self);
}

int dnn_pack_build(const dnn_graph *graph, const void *const *addresses, void *workspace,
                   cudnnBackendDescriptor_t *out, ls_error *error) {
    const void *at[DNN_MOST_ADDRESSES];
    for (int index = 0; index < graph->tensor_count; index++) {
        const dnn_tensor *tensor = &graph->tensors[index];
        at[index] = tensor->kind == DNN_SCALAR ? &tensor->value : addresses[index];
    }
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, "a variant pack");
    descriptor_set(&builder, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, CUDNN_TYPE_INT64,
                   graph->tensor_count, graph->ids);
    descriptor_set(&builder, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, CUDNN_TYPE_VOID_PTR,
                   graph->tensor_count, at);
    descriptor_set(&builder, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, CUDNN_TYPE_VOID_PTR, 1, &workspace);
    return descriptor_finish(&builder, out, error);
}
