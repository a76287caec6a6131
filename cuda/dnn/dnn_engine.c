#include "cuda/dnn/dnn_engine.h"

#include <stdlib.h>
#include <string.h>

/* --- reading what a heuristic offers */

static int ascending(const void *a, const void *b) {
    int64_t left = ((const dnn_knob *)a)->type, right = ((const dnn_knob *)b)->type;
    return (left > right) - (left < right);
}

static bool read_int64(cudnnBackendDescriptor_t from, cudnnBackendAttributeName_t name,
                       int64_t *out) {
    int64_t count = 0;
    return cudnnBackendGetAttribute(from, name, CUDNN_TYPE_INT64, 1, &count, out) ==
               CUDNN_STATUS_SUCCESS &&
           count == 1;
}

static bool read_knob(cudnnBackendDescriptor_t choice, dnn_knob *out) {
    cudnnBackendKnobType_t type;
    int64_t count = 0;
    if (cudnnBackendGetAttribute(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1,
                                 &count, &type) != CUDNN_STATUS_SUCCESS)
        return false;
    out->type = (int64_t)type;
    return read_int64(choice, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, &out->value);
}

static bool read_knobs(cudnnBackendDescriptor_t configuration, dnn_engine *out) {
    cudnnBackendDescriptor_t choices[DNN_MAX_KNOBS] = {NULL};
    bool good = true;
    for (int index = 0; index < DNN_MAX_KNOBS; index++)
        good = good && cudnnBackendCreateDescriptor(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR,
                                                    &choices[index]) == CUDNN_STATUS_SUCCESS;
    int64_t count = 0;
    good = good && cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES,
                                            CUDNN_TYPE_BACKEND_DESCRIPTOR, DNN_MAX_KNOBS, &count,
                                            choices) == CUDNN_STATUS_SUCCESS;
    good = good && count <= DNN_MAX_KNOBS;
    for (int index = 0; good && index < count; index++)
        good = read_knob(choices[index], &out->knobs[index]);
    out->knob_count = good ? (int)count : 0;
    qsort(out->knobs, (size_t)out->knob_count, sizeof out->knobs[0], ascending);
    for (int index = 0; index < DNN_MAX_KNOBS; index++)
        descriptor_destroy(&choices[index]);
    return good;
}

typedef struct engine_notes {
    cudnnBackendNumericalNote_t numerical[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int64_t numerical_count;
    cudnnBackendBehaviorNote_t behavior[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT];
    int64_t behavior_count;
} engine_notes;

static bool read_notes(cudnnBackendDescriptor_t engine, engine_notes *out) {
    /* A cuDNN newer than the header may have more kinds of note: such an engine is not read. */
    return cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                    CUDNN_TYPE_NUMERICAL_NOTE, CUDNN_NUMERICAL_NOTE_TYPE_COUNT,
                                    &out->numerical_count,
                                    out->numerical) == CUDNN_STATUS_SUCCESS &&
           cudnnBackendGetAttribute(engine, CUDNN_ATTR_ENGINE_BEHAVIOR_NOTE,
                                    CUDNN_TYPE_BEHAVIOR_NOTE, CUDNN_BEHAVIOR_NOTE_TYPE_COUNT,
                                    &out->behavior_count, out->behavior) == CUDNN_STATUS_SUCCESS &&
           out->numerical_count <= CUDNN_NUMERICAL_NOTE_TYPE_COUNT &&
           out->behavior_count <= CUDNN_BEHAVIOR_NOTE_TYPE_COUNT;
}

static bool has_note(const engine_notes *notes, cudnnBackendNumericalNote_t wanted) {
    for (int64_t index = 0; index < notes->numerical_count; index++)
        if (notes->numerical[index] == wanted)
            return true;
    return false;
}

static bool has_behavior(const engine_notes *notes, cudnnBackendBehaviorNote_t wanted) {
    for (int64_t index = 0; index < notes->behavior_count; index++)
        if (notes->behavior[index] == wanted)
            return true;
    return false;
}

static bool notes_refused(const engine_notes *notes, const dnn_sums *sums) {
    static const cudnnBackendNumericalNote_t never[] = {
        CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC, CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION,
        CUDNN_NUMERICAL_NOTE_FFT, CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6,
        CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13};
    for (size_t index = 0; index < sizeof never / sizeof never[0]; index++)
        if (has_note(notes, never[index]))
            return true;
    if (sums->type != DTYPE_F32)
        return has_note(notes, CUDNN_NUMERICAL_NOTE_WINOGRAD);
    return !sums->tf32 && (has_note(notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE) ||
                           has_note(notes, CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS));
}

/* False: it could not be read, or has more knobs than we keep. */
static bool read_engine(cudnnBackendDescriptor_t configuration, dnn_engine *out,
                        engine_notes *notes) {
    cudnnBackendDescriptor_t engine;
    if (cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, &engine) !=
        CUDNN_STATUS_SUCCESS)
        return false;
    int64_t count = 0;
    bool good = cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE,
                                         CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &count,
                                         &engine) == CUDNN_STATUS_SUCCESS &&
                read_int64(engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, &out->index) &&
                read_notes(engine, notes) && read_knobs(configuration, out);
    descriptor_destroy(&engine);
    out->tensor_cores = good && has_note(notes, CUDNN_NUMERICAL_NOTE_TENSOR_CORE);
    out->runtime_compiled = good && has_behavior(notes, CUDNN_BEHAVIOR_NOTE_RUNTIME_COMPILATION);
    return good;
}

static void add_engine(cudnnBackendDescriptor_t configuration, const dnn_sums *sums,
                       dnn_engine_list *list) {
    dnn_engine *engine = &list->engines[list->count];
    engine_notes notes;
    memset(engine, 0, sizeof *engine);
    if (!read_engine(configuration, engine, &notes)) {
        ls_fail(&list->refusal, LS_FAILED, "cuDNN: what an engine is cannot be read");
        return;
    }
    for (int index = 0; index < list->count; index++)
        if (dnn_engine_equal(&list->engines[index], engine))
            return;
    if (notes_refused(&notes, sums))
        list->refused++;
    else
        list->count++;
}

static int64_t read_results(cudnnBackendDescriptor_t heuristic,
                            cudnnBackendDescriptor_t configurations[DNN_MAX_ENGINES]) {
    int64_t created = 0, count = 0;
    while (created < DNN_MAX_ENGINES &&
           cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR,
                                        &configurations[created]) == CUDNN_STATUS_SUCCESS)
        created++;
    if (cudnnBackendGetAttribute(heuristic, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                 CUDNN_TYPE_BACKEND_DESCRIPTOR, created, &count,
                                 configurations) != CUDNN_STATUS_SUCCESS)
        return -1;
    return count < created ? count : created;
}

static void add_from(const dnn_graph *graph, const dnn_target *target, cudnnBackendHeurMode_t mode,
                     dnn_engine_list *list) {
    cudnnBackendDescriptor_t heuristic, configurations[DNN_MAX_ENGINES] = {NULL};
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, "a heuristic");
    descriptor_set_descriptor(&builder, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH, graph->made);
    descriptor_set(&builder, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE, 1, &mode);
    if (target->properties)
        descriptor_set_descriptor(&builder, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP, target->properties);
    if (descriptor_finish(&builder, &heuristic, &list->refusal) != LS_OK)
        return;
    int64_t count = read_results(heuristic, configurations);
    if (count < 0)
        ls_fail(&list->refusal, LS_FAILED, "cuDNN: a heuristic's engines cannot be read");
    for (int64_t index = 0; index < count && list->count < DNN_MAX_ENGINES; index++)
        add_engine(configurations[index], &graph->sums, list);
    for (int index = 0; index < DNN_MAX_ENGINES; index++)
        descriptor_destroy(&configurations[index]);
    descriptor_destroy(&heuristic);
}

void dnn_engines_find(const dnn_graph *graph, const dnn_target *target, dnn_engine_list *out) {
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_B,
                                                   CUDNN_HEUR_MODE_FALLBACK};
    memset(out, 0, sizeof *out);
    for (size_t index = 0; index < sizeof modes / sizeof modes[0]; index++)
        add_from(graph, target, modes[index], out);
}

/* --- the plan of an engine */

/* A choice that was written down may name any engine: its notes are looked at again. */
static int build_engine(const dnn_graph *graph, const dnn_target *target, int64_t index,
                        cudnnBackendDescriptor_t *out, ls_error *error) {
    engine_notes notes;
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_ENGINE_DESCRIPTOR, "an engine");
    descriptor_set_descriptor(&builder, CUDNN_ATTR_ENGINE_OPERATION_GRAPH, graph->made);
    descriptor_set_int64(&builder, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, index);
    if (target->properties)
        descriptor_set_descriptor(&builder, CUDNN_ATTR_ENGINE_DEVICEPROP, target->properties);
    LS_TRY(descriptor_finish(&builder, out, error));
    if (!read_notes(*out, &notes))
        return ls_fail(error, LS_FAILED, "cuDNN: an engine's notes cannot be read");
    if (notes_refused(&notes, &graph->sums))
        return ls_fail(error, LS_FAILED, "cuDNN: an engine's notes: other sums than asked for");
    return LS_OK;
}

static int build_knob(const dnn_knob *knob, cudnnBackendDescriptor_t *out, ls_error *error) {
    cudnnBackendKnobType_t type = (cudnnBackendKnobType_t)knob->type;
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_KNOB_CHOICE_DESCRIPTOR, "a knob");
    descriptor_set(&builder, CUDNN_ATTR_KNOB_CHOICE_KNOB_TYPE, CUDNN_TYPE_KNOB_TYPE, 1, &type);
    descriptor_set_int64(&builder, CUDNN_ATTR_KNOB_CHOICE_KNOB_VALUE, knob->value);
    return descriptor_finish(&builder, out, error);
}

static int build_configuration(const dnn_engine *engine, dnn_execution *self, ls_error *error) {
    for (int index = 0; index < engine->knob_count; index++)
        LS_TRY(build_knob(&engine->knobs[index], &self->knobs[index], error));
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, "an engine's configuration");
    descriptor_set_descriptor(&builder, CUDNN_ATTR_ENGINECFG_ENGINE, self->engine);
    if (engine->knob_count > 0)
        descriptor_set(&builder, CUDNN_ATTR_ENGINECFG_KNOB_CHOICES, CUDNN_TYPE_BACKEND_DESCRIPTOR,
                       engine->knob_count, self->knobs);
    return descriptor_finish(&builder, &self->configuration, error);
}

static int build_plan(const dnn_graph *graph, const dnn_target *target, dnn_execution *self,
                      ls_error *error) {
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, "an execution plan");
    descriptor_set_handle(&builder, CUDNN_ATTR_EXECUTION_PLAN_HANDLE, graph->handle);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                              self->configuration);
    if (target->properties)
        descriptor_set_descriptor(&builder, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                  target->properties);
    LS_TRY(descriptor_finish(&builder, &self->plan, error));
    if (read_int64(self->plan, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE, &self->workspace_bytes) &&
        self->workspace_bytes >= 0)
        return LS_OK;
    return ls_fail(error, LS_FAILED, "cuDNN: an execution plan's workspace cannot be read");
}

static int build_execution(const dnn_graph *graph, const dnn_target *target,
                           const dnn_engine *engine, dnn_execution *self, ls_error *error) {
    if (engine->knob_count > DNN_MAX_KNOBS)
        return ls_fail(error, LS_FAILED, "cuDNN: an engine of %d knobs", engine->knob_count);
    LS_TRY(build_engine(graph, target, engine->index, &self->engine, error));
    LS_TRY(build_configuration(engine, self, error));
    return build_plan(graph, target, self, error);
}

int dnn_execution_build(const dnn_graph *graph, const dnn_target *target, const dnn_engine *engine,
                        dnn_execution *out, ls_error *error) {
    dnn_execution self = {0};
    int status = build_execution(graph, target, engine, &self, error);
    if (status != LS_OK)
        dnn_execution_destroy(&self);
    *out = self;
    return status;
}

void dnn_execution_destroy(dnn_execution *self) {
    descriptor_destroy(&self->plan);
    descriptor_destroy(&self->configuration);
    for (int index = 0; index < DNN_MAX_KNOBS; index++)
        descriptor_destroy(&self->knobs[index]);
    descriptor_destroy(&self->engine);
    self->workspace_bytes = 0;
}
