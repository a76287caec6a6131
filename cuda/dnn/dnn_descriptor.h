/* cuDNN's backend descriptors, the building stones of its graph API ("cudnn_graph Library" in
 * cuDNN's API reference): created, given attributes, finalised, and then never changed. One that
 * is not finalised yet is a builder that remembers the first failure, so that setting ten
 * attributes is ten lines and one check. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_DESCRIPTOR_H
#define LOCKSTEP_CUDA_DNN_DNN_DESCRIPTOR_H

#include "base/error.h"

#include <cudnn.h>

#include <stdbool.h>

typedef struct descriptor_builder {
    cudnnBackendDescriptor_t made;
    cudnnStatus_t status;
    const char *what; /* for the text of a failure: "a tensor" */
} descriptor_builder;

descriptor_builder descriptor_begin(cudnnBackendDescriptorType_t type, const char *what);
void descriptor_set(descriptor_builder *self, cudnnBackendAttributeName_t name,
                    cudnnBackendAttributeType_t type, int64_t count, const void *values);
void descriptor_set_int64(descriptor_builder *self, cudnnBackendAttributeName_t name,
                          int64_t value);
void descriptor_set_bool(descriptor_builder *self, cudnnBackendAttributeName_t name, bool value);
void descriptor_set_float(descriptor_builder *self, cudnnBackendAttributeName_t name, float value);
void descriptor_set_type(descriptor_builder *self, cudnnBackendAttributeName_t name,
                         cudnnDataType_t value);
/* `value` must live as long as what is made of it. */
void descriptor_set_descriptor(descriptor_builder *self, cudnnBackendAttributeName_t name,
                               cudnnBackendDescriptor_t value);
/* NULL: nothing is set. */
void descriptor_set_handle(descriptor_builder *self, cudnnBackendAttributeName_t name,
                           cudnnHandle_t value);

/* Finalises. On failure *out is NULL, and nothing is left behind. The quiet one is for what may
 * well fail (an engine that does not serve a graph). The caller destroys *out. */
cudnnStatus_t descriptor_finish_quietly(descriptor_builder *self, cudnnBackendDescriptor_t *out);
int descriptor_finish(descriptor_builder *self, cudnnBackendDescriptor_t *out, ls_error *error);
void descriptor_destroy(cudnnBackendDescriptor_t *descriptor); /* one of NULL is fine */

/* LS_FAILED with "cuDNN: what: its text (the reason that it gave last)". */
int dnn_failed(cudnnStatus_t status, const char *what, ls_error *error);
#define DNN_TRY(call, what)                                                                        \
    do {                                                                                           \
        cudnnStatus_t dnn_status_ = (call);                                                        \
        if (dnn_status_ != CUDNN_STATUS_SUCCESS)                                                   \
            return dnn_failed(dnn_status_, what, error);                                           \
    } while (0)

#endif
