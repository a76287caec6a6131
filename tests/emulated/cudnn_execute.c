/* cuDNN's stand-in: an execution. The pack of pointers is checked against the plan, then work is
 * put into the handle's stream. */
#include "cudnn_emulated.h"

#include <string.h>

typedef struct execution_work {
    dnn_problem problem;
    dnn_memory memory;
    void *workspace;
    size_t workspace_bytes;
    bool tf32;
} execution_work;

size_t dnn_tensor_bytes(const dnn_tensor *tensor) {
    size_t element = tensor->type == CUDNN_DATA_FLOAT ? 4 : 2;
    for (int index = 0; index < 4; index++)
        element *= (size_t)tensor->sizes[index];
    return element;
}

static void *pointer_for(const dnn_descriptor *pack, const dnn_tensor *tensor, const char *what) {
    int64_t count;
    const int64_t *uids = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &count);
    void *const *pointers = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS, &count);
    for (int64_t index = 0; index < count; index++)
        if (uids[index] == tensor->uid) {
            if ((uintptr_t)pointers[index] % (uintptr_t)tensor->alignment)
                emulated_violation("cudnn: %s lies at %p, aligned to less than its %lld bytes",
                                   what, pointers[index], (long long)tensor->alignment);
            return pointers[index];
        }
    emulated_violation("cudnn: the pack has no pointer for %s (id %lld)", what,
                       (long long)tensor->uid);
}

static void check_memory(const execution_work *self) {
    const dnn_problem *problem = &self->problem;
    emulated_check_device(self->memory.x, dnn_tensor_bytes(&problem->x), "cudnn: x or dx");
    emulated_check_device(self->memory.w, dnn_tensor_bytes(&problem->w), "cudnn: w or dw");
    emulated_check_device(self->memory.y, dnn_tensor_bytes(&problem->y), "cudnn: y or dy");
    if (problem->has_bias)
        emulated_check_device(self->memory.bias, dnn_tensor_bytes(&problem->bias), "cudnn: bias");
    emulated_check_device(self->workspace, self->workspace_bytes, "cudnn: the workspace");
}

static void check_apart(const void *one, size_t one_bytes, const void *other, size_t other_bytes,
                        const char *what) {
    if (one && other && (const char *)one < (const char *)other + other_bytes &&
        (const char *)other < (const char *)one + one_bytes)
        emulated_violation("cudnn: %s overlap", what);
}

/* What is written overlaps nothing, nor does the workspace. */
static void check_overlap(const execution_work *self) {
    const dnn_problem *problem = &self->problem;
    const struct {
        const void *at;
        size_t bytes;
    } ranges[] = {{self->memory.x, dnn_tensor_bytes(&problem->x)},
                  {self->memory.w, dnn_tensor_bytes(&problem->w)},
                  {self->memory.y, dnn_tensor_bytes(&problem->y)},
                  {self->memory.bias, problem->has_bias ? dnn_tensor_bytes(&problem->bias) : 0}};
    int written = problem->direction == DNN_FORWARD         ? 2
                  : problem->direction == DNN_BACKWARD_DATA ? 0
                                                            : 1;
    for (int index = 0; index < 4; index++) {
        if (index != written)
            check_apart(ranges[index].at, ranges[index].bytes, ranges[written].at,
                        ranges[written].bytes, "what is read and what is written");
        check_apart(ranges[index].at, ranges[index].bytes, self->workspace, self->workspace_bytes,
                    "a tensor and the workspace");
    }
}

static emulated_progress run(void *context) {
    const execution_work *self = context;
    check_memory(self);
    if (self->workspace_bytes)
        memset(self->workspace, 0xff, self->workspace_bytes); /* it is the library's to write to */
    dnn_compute(&self->problem, self->tf32, &self->memory);
    return EMULATED_DONE;
}

static execution_work make_work(const dnn_descriptor *plan, const dnn_descriptor *pack) {
    int64_t count, tensors = 3;
    const dnn_problem *problem = &plan->graph->problem;
    execution_work self = {.problem = *problem,
                           .memory = {.x = pointer_for(pack, &problem->x, "x or dx"),
                                      .w = pointer_for(pack, &problem->w, "w or dw"),
                                      .y = pointer_for(pack, &problem->y, "y or dy")},
                           .workspace_bytes = (size_t)dnn_workspace_bytes(problem, &plan->setting),
                           .tf32 = dnn_rounds_to_tf32(problem, plan->setting.engine)};
    if (problem->has_bias) {
        self.memory.bias = pointer_for(pack, &problem->bias, "the bias");
        tensors++;
    }
    dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &count);
    if (count != tensors)
        emulated_violation("cudnn: a pack of %lld pointers for %lld tensors", (long long)count,
                           (long long)tensors);
    void *const *workspace = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &count);
    self.workspace = *workspace;
    if (self.workspace_bytes && !self.workspace)
        emulated_violation("cudnn: the plan needs %zu bytes of workspace", self.workspace_bytes);
    return self;
}

/* A program that runs such an engine did not look at its notes. */
static void check_notes(const dnn_descriptor *plan) {
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    int count = dnn_numerical_notes(&plan->graph->problem, plan->setting.engine, notes);
    for (int index = 0; index < count; index++)
        if (notes[index] != CUDNN_NUMERICAL_NOTE_TENSOR_CORE &&
            notes[index] != CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS)
            emulated_violation("cudnn: engine %lld runs, which has numerical note %d",
                               (long long)plan->setting.engine, (int)notes[index]);
}

static const char *label_of(const dnn_problem *problem) {
    return problem->direction == DNN_FORWARD         ? "cuDNN forward"
           : problem->direction == DNN_BACKWARD_DATA ? "cuDNN dgrad"
                                                     : "cuDNN wgrad";
}

cudnnStatus_t cudnnBackendExecute(cudnnHandle_t handle, cudnnBackendDescriptor_t executionPlan,
                                  cudnnBackendDescriptor_t variantPack) {
    const dnn_descriptor *plan = dnn_check(executionPlan, "cudnnBackendExecute");
    const dnn_descriptor *pack = dnn_check(variantPack, "cudnnBackendExecute");
    cudaStream_t stream = dnn_stream(dnn_check_handle(handle, "cudnnBackendExecute"));
    if (plan->type != CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR || !plan->finalised ||
        pack->type != CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR || !pack->finalised)
        emulated_violation("cudnn: what is executed is no finalised plan and pack");
    check_notes(plan);
    execution_work work = make_work(plan, pack);
    check_memory(&work);
    check_overlap(&work);
    cudnnStatus_t refused;
    if (dnn_is_refused(DNN_RUN, &refused))
        return refused;
    if (!dnn_runs_in_capture(plan->setting.engine) && emulated_is_capturing(stream)) {
        dnn_not_supported("this engine cannot be captured");
        return CUDNN_STATUS_EXECUTION_FAILED;
    }
    cudaError_t put = emulated_enqueue(stream, run, &work, sizeof work, label_of(&work.problem));
    return put == cudaSuccess ? CUDNN_STATUS_SUCCESS : CUDNN_STATUS_EXECUTION_FAILED;
}
