/* cuDNN's stand-in: what is checked when a descriptor is finalised. */
#include "cudnn_emulated.h"

#include <string.h>

static void finalize_tensor(const dnn_descriptor *self) {
    int64_t count;
    const int64_t *sizes = dnn_find(self, CUDNN_ATTR_TENSOR_DIMENSIONS, &count);
    const int64_t *strides = dnn_find(self, CUDNN_ATTR_TENSOR_STRIDES, &count);
    int64_t alignment = dnn_int64(self, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, 0);
    for (int index = 0; index < 4; index++)
        if (sizes[index] < 1 || strides[index] < 1)
            emulated_violation("cudnn: a tensor's dimension %d has size %lld and stride %lld",
                               index, (long long)sizes[index], (long long)strides[index]);
    if (alignment < 1 || alignment & (alignment - 1))
        emulated_violation("cudnn: a tensor's alignment of %lld bytes", (long long)alignment);
}

static void finalize_convolution(const dnn_descriptor *self) {
    int64_t count;
    if (dnn_int64(self, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, 0) != 2)
        emulated_violation("cudnn: the stand-in convolves in 2 dimensions");
    const int64_t *strides = dnn_find(self, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, &count);
    const int64_t *before = dnn_find(self, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, &count);
    const int64_t *after = dnn_find(self, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, &count);
    for (int index = 0; index < 2; index++)
        if (strides[index] < 1 || before[index] < 0 || after[index] < 0)
            emulated_violation("cudnn: a convolution's stride or padding");
}

static void check_reference(const dnn_descriptor *self, cudnnBackendAttributeName_t name,
                            cudnnBackendDescriptorType_t expected) {
    const dnn_descriptor *used = dnn_reference(self, name);
    if (used && used->type != expected)
        emulated_violation("cudnn: attribute %d: expected a descriptor of type %d, found %d",
                           (int)name, (int)expected, (int)used->type);
}

static void finalize_operation(const dnn_descriptor *self) {
    static const struct {
        cudnnBackendAttributeName_t name;
        cudnnBackendDescriptorType_t type;
    } expected[] = {
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
         CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, CUDNN_BACKEND_POINTWISE_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_POINTWISE_XDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_POINTWISE_BDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_POINTWISE_YDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_MATMUL_DESC, CUDNN_BACKEND_MATMUL_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_REDUCTION_DESC, CUDNN_BACKEND_REDUCTION_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_MATMUL_ADESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_MATMUL_BDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_MATMUL_CDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_REDUCTION_XDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_REDUCTION_YDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_RESHAPE_XDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
        {CUDNN_ATTR_OPERATION_RESHAPE_YDESC, CUDNN_BACKEND_TENSOR_DESCRIPTOR},
    };
    for (size_t index = 0; index < sizeof expected / sizeof expected[0]; index++)
        check_reference(self, expected[index].name, expected[index].type);
}

static cudnnStatus_t finalize_graph(dnn_descriptor *self) {
    int64_t count;
    const cudnnHandle_t *handle = dnn_find(self, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, &count);
    dnn_check_handle(*handle, "an operation graph");
    dnn_descriptor *const *operations = dnn_find(self, CUDNN_ATTR_OPERATIONGRAPH_OPS, &count);
    self->supported = dnn_recognise(operations, count, &self->problem) == CUDNN_STATUS_SUCCESS;
    return CUDNN_STATUS_SUCCESS; /* a graph without engines is still a graph */
}

static dnn_descriptor *graph_in(const dnn_descriptor *self, cudnnBackendAttributeName_t name) {
    check_reference(self, name, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    return dnn_reference(self, name);
}

static cudnnStatus_t finalize_heuristic(dnn_descriptor *self) {
    dnn_refer(&self->graph, graph_in(self, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH));
    return self->graph->supported ? CUDNN_STATUS_SUCCESS
                                  : dnn_not_supported("no engine for this graph");
}

static cudnnStatus_t finalize_engine(dnn_descriptor *self) {
    dnn_refer(&self->graph, graph_in(self, CUDNN_ATTR_ENGINE_OPERATION_GRAPH));
    self->setting.engine = dnn_int64(self, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, -1);
    if (!self->graph->supported)
        return dnn_not_supported("no engine for this graph");
    return dnn_check_engine(&self->graph->problem, self->setting.engine);
}

static cudnnStatus_t finalize_knob(dnn_descriptor *self) {
    int64_t count;
    const cudnnBackendKnobType_t *type = dnn_find(self, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, &count);
    self->knob = (dnn_knob){*type, dnn_int64(self, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, 0)};
    return CUDNN_STATUS_SUCCESS;
}

static cudnnStatus_t finalize_configuration(dnn_descriptor *self) {
    int64_t count;
    check_reference(self, CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_BACKEND_ENGINE_DESCRIPTOR);
    const dnn_descriptor *engine = dnn_reference(self, CUDNN_ATTR_ENGINECFG_ENGINE);
    dnn_refer(&self->graph, engine->graph);
    self->setting.engine = engine->setting.engine;
    dnn_descriptor *const *knobs = dnn_find(self, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, &count);
    if (count > DNN_KNOBS)
        return dnn_not_supported("the engine has not so many knobs");
    for (int64_t index = 0; index < count; index++) {
        if (knobs[index]->type != CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR)
            emulated_violation("cudnn: a configuration's knob is none");
        self->setting.knobs[self->setting.knob_count++] = knobs[index]->knob;
    }
    return dnn_check_setting(&self->setting);
}

static cudnnStatus_t finalize_plan(dnn_descriptor *self) {
    int64_t count;
    const cudnnHandle_t *handle = dnn_find(self, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, &count);
    dnn_check_handle(*handle, "an execution plan");
    check_reference(self, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                    CUDNN_BACKEND_ENGINECFG_DESCRIPTOR);
    const dnn_descriptor *configuration =
        dnn_reference(self, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG);
    dnn_refer(&self->graph, configuration->graph);
    self->setting = configuration->setting;
    return dnn_check_plan(&self->setting);
}

static void finalize_pack(const dnn_descriptor *self) {
    int64_t uid_count, pointer_count;
    const int64_t *uids = dnn_find(self, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &uid_count);
    dnn_find(self, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, &pointer_count);
    if (uid_count != pointer_count)
        emulated_violation("cudnn: a pack of %lld ids and %lld pointers", (long long)uid_count,
                           (long long)pointer_count);
    for (int64_t one = 0; one < uid_count; one++)
        for (int64_t other = 0; other < one; other++)
            if (uids[one] == uids[other])
                emulated_violation("cudnn: a pack has id %lld twice", (long long)uids[one]);
}

cudnnStatus_t dnn_finalize(dnn_descriptor *self) {
    switch (self->type) {
    case CUDNN_BACKEND_TENSOR_DESCRIPTOR:
        finalize_tensor(self);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR:
        finalize_convolution(self);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_POINTWISE_DESCRIPTOR:
    case CUDNN_BACKEND_MATMUL_DESCRIPTOR:
    case CUDNN_BACKEND_REDUCTION_DESCRIPTOR:
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
        finalize_operation(self);
        return CUDNN_STATUS_SUCCESS;
    case CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR:
        return finalize_graph(self);
    case CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR:
        return finalize_heuristic(self);
    case CUDNN_BACKEND_ENGINE_DESCRIPTOR:
        return finalize_engine(self);
    case CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR:
        return finalize_knob(self);
    case CUDNN_BACKEND_ENGINECFG_DESCRIPTOR:
        return finalize_configuration(self);
    case CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR:
        return finalize_plan(self);
    case CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR:
        finalize_pack(self);
        return CUDNN_STATUS_SUCCESS;
    default:
        emulated_violation("cudnn: the stand-in has no descriptor of type %d", (int)self->type);
    }
}
