/* cuDNN's stand-in: what descriptors are asked. Answers that are descriptors are filled into those
 * that the caller made. */
#include "cudnn_emulated.h"

#include <string.h>

/* A caller's descriptor becomes one that is finalised: a configuration, an engine, a knob. */
static dnn_descriptor *fill(cudnnBackendDescriptor_t given, cudnnBackendDescriptorType_t type) {
    dnn_descriptor *self = dnn_check(given, "cudnnBackendGetAttribute");
    if (self->type != type || self->finalised)
        emulated_violation("cudnn: an answer of type %d is to go into a descriptor of type %d%s",
                           (int)type, (int)self->type, self->finalised ? ", finalised" : "");
    self->finalised = true;
    return self;
}

static void fill_setting(cudnnBackendDescriptor_t given, cudnnBackendDescriptorType_t type,
                         dnn_descriptor *graph, const dnn_setting *setting) {
    dnn_descriptor *self = fill(given, type);
    dnn_refer(&self->graph, graph);
    self->setting = *setting;
}

static int64_t get_results(const dnn_descriptor *self, int64_t room, void *array) {
    void **out = array;
    int64_t count;
    dnn_setting offered[DNN_RESULTS];
    const cudnnBackendHeurMode_t *mode = dnn_find(self, CUDNN_ATTR_ENGINEHEUR_MODE, &count);
    count = dnn_heuristic(self->graph, *mode, offered);
    for (int64_t index = 0; index < count && index < room; index++)
        fill_setting(out[index], CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, self->graph, &offered[index]);
    return count;
}

static int64_t get_knobs(const dnn_descriptor *self, int64_t room, void *array) {
    void **out = array;
    for (int64_t index = 0; index < self->setting.knob_count && index < room; index++)
        fill(out[index], CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR)->knob = self->setting.knobs[index];
    return self->setting.knob_count;
}

static int64_t get_numerical(const dnn_descriptor *self, int64_t room, void *out) {
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int count = dnn_numerical_notes(&self->graph->problem, self->setting.engine, notes);
    memcpy(out, notes, (size_t)(count < room ? count : room) * sizeof notes[0]);
    return count;
}

static int64_t get_behavior(const dnn_descriptor *self, int64_t room, void *out) {
    cudnnBackendBehaviorNote_t notes[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int count = dnn_behavior_notes(self->setting.engine, notes);
    memcpy(out, notes, (size_t)(count < room ? count : room) * sizeof notes[0]);
    return count;
}

static int64_t get_engine(const dnn_descriptor *self, int64_t room, void *out) {
    if (room > 0)
        fill_setting(*(void **)out, CUDNN_BACKEND_ENGINE_DESCRIPTOR, self->graph, &self->setting);
    return 1;
}

static int64_t get_int64(int64_t value, int64_t room, void *out) {
    if (room > 0)
        memcpy(out, &value, sizeof value);
    return 1;
}

static int64_t get_engine_index(const dnn_descriptor *self, int64_t room, void *out) {
    return get_int64(self->setting.engine, room, out);
}

static int64_t get_knob_type(const dnn_descriptor *self, int64_t room, void *out) {
    if (room > 0)
        memcpy(out, &self->knob.type, sizeof self->knob.type);
    return 1;
}

static int64_t get_knob_value(const dnn_descriptor *self, int64_t room, void *out) {
    return get_int64(self->knob.value, room, out);
}

static int64_t get_workspace(const dnn_descriptor *self, int64_t room, void *out) {
    return get_int64(dnn_workspace_bytes(&self->graph->problem, &self->setting), room, out);
}

/* Each gives how many elements the attribute has, and `room` of them at most. */
static const struct {
    cudnnBackendAttributeName_t name;
    cudnnBackendAttributeType_t type;
    int64_t (*get)(const dnn_descriptor *self, int64_t room, void *out);
} answers[] = {
    {CUDNN_ATTR_ENGINEHEUR_RESULTS, CUDNN_TYPE_BACKEND_DESCRIPTOR, get_results},
    {CUDNN_ATTR_ENGINECFG_ENGINE, CUDNN_TYPE_BACKEND_DESCRIPTOR, get_engine},
    {CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR, get_knobs},
    {CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64, get_engine_index},
    {CUDNN_ATTR_ENGINE_NUMERICAL_NOTE, CUDNN_TYPE_NUMERICAL_NOTE, get_numerical},
    {CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE, CUDNN_TYPE_BEHAVIOR_NOTE, get_behavior},
    {CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, get_knob_type},
    {CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, CUDNN_TYPE_INT64, get_knob_value},
    {CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, CUDNN_TYPE_INT64, get_workspace},
};

cudnnStatus_t cudnnBackendGetAttribute(cudnnBackendDescriptor_t const descriptor,
                                       cudnnBackendAttributeName_t attributeName,
                                       cudnnBackendAttributeType_t attributeType,
                                       int64_t requestedElementCount, int64_t *elementCount,
                                       void *arrayOfElements) {
    const dnn_descriptor *self = dnn_check(descriptor, "cudnnBackendGetAttribute");
    int name = (int)attributeName;
    if (!self->finalised)
        emulated_violation("cudnn: attribute %d is asked for before finalising", name);
    for (size_t index = 0; index < sizeof answers / sizeof answers[0]; index++) {
        if (answers[index].name != attributeName)
            continue;
        if (answers[index].type != attributeType)
            emulated_violation("cudnn: attribute %d is asked for as type %d, expected %d", name,
                               (int)attributeType, (int)answers[index].type);
        cudnnStatus_t refused;
        if (dnn_is_refused(DNN_QUERY, &refused))
            return refused;
        *elementCount = answers[index].get(self, requestedElementCount, arrayOfElements);
        return CUDNN_STATUS_SUCCESS;
    }
    emulated_violation("cudnn: the stand-in is not asked for attribute %d", name);
}
