#include "cuda/dnn/dnn_descriptor.h"

#include <string.h>

descriptor_builder descriptor_begin(cudnnBackendDescriptorType_t type, const char *what) {
    descriptor_builder self = {.what = what};
    self.status = cudnnBackendCreateDescriptor(type, &self.made);
    if (self.status != CUDNN_STATUS_SUCCESS)
        self.made = NULL;
    return self;
}

void descriptor_set(descriptor_builder *self, cudnnBackendAttributeName_t name,
                    cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    if (self->status == CUDNN_STATUS_SUCCESS)
        self->status = cudnnBackendSetAttribute(self->made, name, type, count, values);
}

void descriptor_set_int64(descriptor_builder *self, cudnnBackendAttributeName_t name,
                          int64_t value) {
    descriptor_set(self, name, CUDNN_TYPE_INT64, 1, &value);
}

void descriptor_set_bool(descriptor_builder *self, cudnnBackendAttributeName_t name, bool value) {
    descriptor_set(self, name, CUDNN_TYPE_BOOLEAN, 1, &value);
}

void descriptor_set_float(descriptor_builder *self, cudnnBackendAttributeName_t name, float value) {
    descriptor_set(self, name, CUDNN_TYPE_FLOAT, 1, &value);
}

void descriptor_set_type(descriptor_builder *self, cudnnBackendAttributeName_t name,
                         cudnnDataType_t value) {
    descriptor_set(self, name, CUDNN_TYPE_DATA_TYPE, 1, &value);
}

void descriptor_set_descriptor(descriptor_builder *self, cudnnBackendAttributeName_t name,
                               cudnnBackendDescriptor_t value) {
    descriptor_set(self, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

void descriptor_set_handle(descriptor_builder *self, cudnnBackendAttributeName_t name,
                           cudnnHandle_t value) {
    if (value)
        descriptor_set(self, name, CUDNN_TYPE_HANDLE, 1, &value);
}

cudnnStatus_t descriptor_finish_quietly(descriptor_builder *self, cudnnBackendDescriptor_t *out) {
    if (self->status == CUDNN_STATUS_SUCCESS)
        self->status = cudnnBackendFinalize(self->made);
    if (self->status != CUDNN_STATUS_SUCCESS)
        descriptor_destroy(&self->made);
    *out = self->made;
    self->made = NULL;
    return self->status;
}

int descriptor_finish(descriptor_builder *self, cudnnBackendDescriptor_t *out, ls_error *error) {
    DNN_TRY(descriptor_finish_quietly(self, out), self->what);
    return LS_OK;
}

void descriptor_destroy(cudnnBackendDescriptor_t *descriptor) {
    if (*descriptor)
        cudnnBackendDestroyDescriptor(*descriptor);
    *descriptor = NULL;
}

int dnn_failed(cudnnStatus_t status, const char *what, ls_error *error) {
    char reason[256] = "";
    cudnnGetLastErrorString(reason, sizeof reason);
    reason[sizeof reason - 1] = '\0';
    size_t length = strcspn(reason, "\n");
    return ls_fail(error, LS_FAILED, "cuDNN: %s: %s%s%.*s%s", what, cudnnGetErrorString(status),
                   length ? " (" : "", (int)length, reason, length ? ")" : "");
}
