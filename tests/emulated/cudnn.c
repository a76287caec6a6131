/* cuDNN's stand-in: handles, and descriptors as bags of attributes. cudnn_emulated.h says how it is
 * laid out. */
#include "cudnn_emulated.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define DESCRIPTOR_MAGIC UINT64_C(0x646e6e2d64657363)
#define HANDLE_MAGIC     UINT64_C(0x646e6e2d68616e64)

struct cudnnContext {
    uint64_t magic;
    cudaStream_t stream;
};

static char last_error[256];

cudnnStatus_t dnn_not_supported(const char *reason) {
    snprintf(last_error, sizeof last_error, "%s", reason);
    return CUDNN_STATUS_NOT_SUPPORTED;
}

bool dnn_is_refused(refusable_call kind, cudnnStatus_t *status) {
    int refused;
    if (!emulated_is_refused(kind, CUDNN_STATUS_NOT_SUPPORTED, &refused))
        return false;
    dnn_not_supported("refused on demand");
    *status = (cudnnStatus_t)refused;
    return true;
}

size_t cudnnGetVersion(void) {
    return CUDNN_VERSION;
}

const char *cudnnGetErrorString(cudnnStatus_t status) {
    switch (status) {
    case CUDNN_STATUS_SUCCESS:
        return "CUDNN_STATUS_SUCCESS";
    case CUDNN_STATUS_NOT_SUPPORTED:
        return "CUDNN_STATUS_NOT_SUPPORTED";
    case CUDNN_STATUS_EXECUTION_FAILED:
        return "CUDNN_STATUS_EXECUTION_FAILED";
    default:
        return "CUDNN_STATUS (emulated)";
    }
}

void cudnnGetLastErrorString(char *message, size_t max_size) {
    snprintf(message, max_size, "%s", last_error);
}

cudnnStatus_t cudnnCreate(cudnnHandle_t *handle) {
    *handle = calloc(1, sizeof **handle);
    if (!*handle)
        abort();
    (*handle)->magic = HANDLE_MAGIC;
    emulated_count("cudnnHandle_t", 1);
    return CUDNN_STATUS_SUCCESS;
}

cudnnHandle_t dnn_check_handle(cudnnHandle_t handle, const char *what) {
    if (!handle || handle->magic != HANDLE_MAGIC)
        emulated_violation("cudnn: %s: what is given for a handle is none", what);
    return handle;
}

cudaStream_t dnn_stream(cudnnHandle_t handle) {
    return handle->stream;
}

cudnnStatus_t cudnnDestroy(cudnnHandle_t handle) {
    dnn_check_handle(handle, "cudnnDestroy");
    handle->magic = 0;
    emulated_count("cudnnHandle_t", -1);
    free(handle);
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnSetStream(cudnnHandle_t handle, cudaStream_t streamId) {
    cudnnStatus_t refused;
    emulated_check_stream(streamId, "cudnnSetStream");
    if (dnn_is_refused(DNN_RUN, &refused))
        return refused;
    dnn_check_handle(handle, "cudnnSetStream")->stream = streamId;
    return CUDNN_STATUS_SUCCESS;
}

dnn_descriptor *dnn_check(cudnnBackendDescriptor_t descriptor, const char *what) {
    dnn_descriptor *self = descriptor;
    if (!self || self->magic != DESCRIPTOR_MAGIC)
        emulated_violation("cudnn: %s: what is given for a descriptor is none", what);
    return self;
}

cudnnStatus_t cudnnBackendCreateDescriptor(cudnnBackendDescriptorType_t descriptorType,
                                           cudnnBackendDescriptor_t *descriptor) {
    cudnnStatus_t refused;
    if (dnn_is_refused(DNN_DESCRIBE, &refused))
        return refused;
    dnn_descriptor *self = calloc(1, sizeof *self);
    if (!self)
        abort();
    self->magic = DESCRIPTOR_MAGIC;
    self->type = descriptorType;
    emulated_count("cudnnBackendDescriptor_t", 1);
    *descriptor = self;
    return CUDNN_STATUS_SUCCESS;
}

void dnn_refer(dnn_descriptor **slot, dnn_descriptor *to) {
    if (*slot)
        (*slot)->users--;
    if (to)
        to->users++;
    *slot = to;
}

static const cudnnBackendAttributeName_t references[] = {
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
    CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
    CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
    CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR,
    CUDNN_ATTR_OPERATION_POINTWISE_XDESC,
    CUDNN_ATTR_OPERATION_POINTWISE_BDESC,
    CUDNN_ATTR_OPERATION_POINTWISE_YDESC,
    CUDNN_ATTR_OPERATION_MATMUL_DESC,
    CUDNN_ATTR_OPERATION_MATMUL_ADESC,
    CUDNN_ATTR_OPERATION_MATMUL_BDESC,
    CUDNN_ATTR_OPERATION_MATMUL_CDESC,
    CUDNN_ATTR_OPERATION_REDUCTION_DESC,
    CUDNN_ATTR_OPERATION_REDUCTION_XDESC,
    CUDNN_ATTR_OPERATION_REDUCTION_YDESC,
    CUDNN_ATTR_OPERATION_RESHAPE_XDESC,
    CUDNN_ATTR_OPERATION_RESHAPE_YDESC,
    CUDNN_ATTR_OPERATIONGRAPH_OPS,
    CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
    CUDNN_ATTR_ENGINE_OPERATION_GRAPH,
    CUDNN_ATTR_ENGINECFG_ENGINE,
    CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
    CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
};

static bool is_reference(cudnnBackendAttributeName_t name) {
    for (size_t index = 0; index < sizeof references / sizeof references[0]; index++)
        if (references[index] == name)
            return true;
    return false;
}

/* One that others still refer to is kept by its owner until they are gone: whether the real
 * library would have a copy is not documented. */
cudnnStatus_t cudnnBackendDestroyDescriptor(cudnnBackendDescriptor_t descriptor) {
    dnn_descriptor *self = dnn_check(descriptor, "cudnnBackendDestroyDescriptor");
    if (self->users)
        emulated_violation("cudnn: a descriptor of type %d is destroyed while %d others use it",
                           (int)self->type, self->users);
    for (int index = 0; index < self->attribute_count; index++) {
        dnn_attribute *attribute = &self->attributes[index];
        if (is_reference(attribute->name))
            for (int64_t at = 0; at < attribute->count; at++)
                ((dnn_descriptor **)attribute->values)[at]->users--;
        free(attribute->values);
    }
    dnn_refer(&self->graph, NULL);
    self->magic = 0;
    emulated_count("cudnnBackendDescriptor_t", -1);
    free(self);
    return CUDNN_STATUS_SUCCESS;
}

const void *dnn_find(const dnn_descriptor *self, cudnnBackendAttributeName_t name, int64_t *count) {
    *count = 0;
    for (int index = 0; index < self->attribute_count; index++)
        if (self->attributes[index].name == name) {
            *count = self->attributes[index].count;
            return self->attributes[index].values;
        }
    return NULL;
}

int64_t dnn_int64(const dnn_descriptor *self, cudnnBackendAttributeName_t name, int64_t otherwise) {
    int64_t count;
    const int64_t *values = dnn_find(self, name, &count);
    return values ? values[0] : otherwise;
}

dnn_descriptor *dnn_reference(const dnn_descriptor *self, cudnnBackendAttributeName_t name) {
    int64_t count;
    dnn_descriptor *const *values = dnn_find(self, name, &count);
    return values ? values[0] : NULL;
}

cudnnStatus_t cudnnBackendSetAttribute(cudnnBackendDescriptor_t descriptor,
                                       cudnnBackendAttributeName_t attributeName,
                                       cudnnBackendAttributeType_t attributeType,
                                       int64_t elementCount, const void *arrayOfElements) {
    dnn_descriptor *self = dnn_check(descriptor, "cudnnBackendSetAttribute");
    int64_t count;
    if (self->finalised)
        emulated_violation("cudnn: attribute %d is set after finalising", (int)attributeName);
    size_t bytes = dnn_check_attribute(self->type, attributeName, attributeType, elementCount);
    cudnnStatus_t refused;
    if (dnn_is_refused(DNN_DESCRIBE, &refused))
        return refused;
    if (dnn_find(self, attributeName, &count) || self->attribute_count == DNN_ATTRIBUTES)
        emulated_violation("cudnn: attribute %d is set twice", (int)attributeName);
    dnn_attribute *attribute = &self->attributes[self->attribute_count++];
    attribute->name = attributeName;
    attribute->count = elementCount;
    attribute->values = malloc((size_t)elementCount * bytes);
    if (!attribute->values)
        abort();
    memcpy(attribute->values, arrayOfElements, (size_t)elementCount * bytes);
    if (is_reference(attributeName))
        for (int64_t at = 0; at < elementCount; at++) {
            dnn_descriptor *used =
                dnn_check(((dnn_descriptor **)attribute->values)[at], "cudnnBackendSetAttribute");
            if (!used->finalised)
                emulated_violation("cudnn: attribute %d: a descriptor that is not finalised",
                                   (int)attributeName);
            used->users++;
        }
    return CUDNN_STATUS_SUCCESS;
}

cudnnStatus_t cudnnBackendFinalize(cudnnBackendDescriptor_t descriptor) {
    dnn_descriptor *self = dnn_check(descriptor, "cudnnBackendFinalize");
    if (self->finalised)
        emulated_violation("cudnn: a descriptor of type %d is finalised twice", (int)self->type);
    dnn_check_complete(self);
    cudnnStatus_t status;
    if (dnn_is_refused(DNN_QUERY, &status))
        return status;
    status = dnn_finalize(self);
    self->finalised = status == CUDNN_STATUS_SUCCESS;
    return status;
}
