/* cuDNN's stand-in: an execution. The pack of pointers is checked against the plan, then work is
 * put into the handle's stream. */
#include "cudnn_emulated.h"

#include <string.h>

typedef struct execution_work {
    dnn_problem problem;
    dnn_memory memory;            /* a convolution's */
    void *operands[DNN_OPERANDS]; /* others' */
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

static bool has_memory(const dnn_operand *operand) {
    return !operand->tensor.is_virtual && !operand->is_value;
}

static void check_operands(const execution_work *self) {
    const dnn_operations *operations = &self->problem.operations;
    for (int index = 0; index < operations->operand_count; index++)
        if (has_memory(&operations->operands[index]))
            emulated_check_device(self->operands[index],
                                  dnn_extent_bytes(&operations->operands[index].tensor),
                                  "cudnn: a graph's tensor");
    emulated_check_device(self->workspace, self->workspace_bytes, "cudnn: the workspace");
}

static void check_memory(const execution_work *self) {
    const dnn_problem *problem = &self->problem;
    if (problem->operations.count) {
        check_operands(self);
        return;
    }
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

/* What is written overlaps nothing that is read: the parts of one tensor, which lie between each
 * other, are all read or all written. Nor does the workspace. */
static void check_operands_apart(const execution_work *self) {
    const dnn_operations *operations = &self->problem.operations;
    for (int one = 0; one < operations->operand_count; one++) {
        const dnn_operand *written = &operations->operands[one];
        if (!has_memory(written))
            continue;
        size_t bytes = dnn_extent_bytes(&written->tensor);
        check_apart(self->operands[one], bytes, self->workspace, self->workspace_bytes,
                    "a tensor and the workspace");
        for (int other = 0; written->is_written && other < operations->operand_count; other++) {
            const dnn_operand *read = &operations->operands[other];
            if (has_memory(read) && !read->is_written)
                check_apart(self->operands[one], bytes, self->operands[other],
                            dnn_extent_bytes(&read->tensor), "what is read and what is written");
        }
    }
}

/* What is written overlaps nothing, nor does the workspace. */
static void check_overlap(const execution_work *self) {
    const dnn_problem *problem = &self->problem;
    if (problem->operations.count) {
        check_operands_apart(self);
        return;
    }
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
    if (self->problem.operations.count)
        dnn_compute_operations(&self->problem.operations, self->operands);
    else
        dnn_compute(&self->problem, self->tf32, &self->memory);
    return EMULATED_DONE;
}

static void take_workspace(execution_work *self, const dnn_descriptor *pack, int64_t tensors) {
    int64_t count;
    dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS, &count);
    if (count != tensors)
        emulated_violation("cudnn: a pack of %lld pointers for %lld tensors", (long long)count,
                           (long long)tensors);
    void *const *workspace = dnn_find(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE, &count);
    self->workspace = *workspace;
    if (self->workspace_bytes && !self->workspace)
        emulated_violation("cudnn: the plan needs %zu bytes of workspace", self->workspace_bytes);
}

/* A scalar's value is read now, from the host's memory. */
static int64_t take_operands(execution_work *self, const dnn_descriptor *pack) {
    dnn_operations *operations = &self->problem.operations;
    int64_t tensors = 0;
    for (int index = 0; index < operations->operand_count; index++) {
        dnn_operand *operand = &operations->operands[index];
        if (operand->tensor.is_virtual)
            continue;
        if (operand->is_value)
            operand->tensor.alignment = sizeof(float);
        void *at = pointer_for(pack, &operand->tensor, "a graph's tensor");
        if (operand->is_value)
            operand->value = *(const float *)at;
        else
            self->operands[index] = at;
        tensors++;
    }
    return tensors;
}

static execution_work make_work(const dnn_descriptor *plan, const dnn_descriptor *pack) {
    int64_t tensors = 3;
    const dnn_problem *problem = &plan->graph->problem;
    execution_work self = {.problem = *problem,
                           .workspace_bytes = (size_t)dnn_workspace_bytes(problem, &plan->setting),
                           .tf32 = dnn_rounds_to_tf32(problem, plan->setting.engine)};
    if (problem->operations.count) {
        tensors = take_operands(&self, pack);
    } else {
        self.memory = (dnn_memory){.x = pointer_for(pack, &problem->x, "x or dx"),
                                   .w = pointer_for(pack, &problem->w, "w or dw"),
                                   .y = pointer_for(pack, &problem->y, "y or dy")};
        if (problem->has_bias) {
            self.memory.bias = pointer_for(pack, &problem->bias, "the bias");
            tensors++;
        }
    }
    take_workspace(&self, pack, tensors);
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
    return problem->operations.count                 ? "cuDNN operations"
           : problem->direction == DNN_FORWARD       ? "cuDNN forward"
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
