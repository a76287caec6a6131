/* What the files of cuDNN's stand-in share. A cudnnBackendDescriptor_t points to a dnn_descriptor:
 * a bag of attributes that a table (cudnn_attributes.c) checks as they are set, and that are
 * checked together when it is finalised (cudnn_finalize.c). Compiled against the real header.
 * What the documentation forbids is a violation; what may well fail with the real library (a
 * graph, an engine, a knob that is not supported) is a status. */
#ifndef LOCKSTEP_TESTS_EMULATED_CUDNN_EMULATED_H
#define LOCKSTEP_TESTS_EMULATED_CUDNN_EMULATED_H

#include "device/kinds/conv2d.h"
#include "device/ops.h"
#include "emulated.h"
#include "refusals.h"

#include <cudnn.h>
#include <stdint.h>

enum {
    DNN_ATTRIBUTES = 12,
    DNN_KNOBS = 8,
    DNN_TENSORS = 16,
    DNN_RESULTS = 16,
    DNN_OPERANDS = 32,  /* tensors of a graph that is no convolution */
    DNN_OPERATIONS = 20 /* and its operations */
};

typedef struct dnn_attribute {
    cudnnBackendAttributeName_t name;
    int64_t count;
    char *values; /* count elements of the name's type */
} dnn_attribute;

typedef struct dnn_knob {
    cudnnBackendKnobType_t type;
    int64_t value;
} dnn_knob;

/* An engine with its knobs set: what a configuration is. */
typedef struct dnn_setting {
    int64_t engine;
    dnn_knob knobs[DNN_KNOBS];
    int knob_count;
} dnn_setting;

/* A tensor, as the operations see it. */
typedef struct dnn_tensor {
    int64_t uid, alignment;
    int64_t sizes[4], strides[4]; /* n, c, h, w */
    cudnnDataType_t type;
    bool is_virtual;
} dnn_tensor;

/* A graph of other operations than convolutions (cudnn_operations.c). */
typedef struct dnn_operand {
    dnn_tensor tensor;
    bool is_value;   /* a scalar: its value is in the pack */
    bool is_written; /* by an operation */
    float value;
} dnn_operand;

typedef struct dnn_operation {
    enum { DNN_PRODUCT, DNN_POINTWISE, DNN_REDUCTION, DNN_RESHAPE } kind;
    cudnnPointwiseMode_t mode;
    cudnnReduceTensorOp_t reduces;
    int from, with, to; /* operands; with -1: there is none */
} dnn_operation;

typedef struct dnn_operations {
    dnn_operand operands[DNN_OPERANDS];
    dnn_operation of[DNN_OPERATIONS];
    int operand_count, count;
} dnn_operations;

typedef enum { DNN_FORWARD, DNN_BACKWARD_DATA, DNN_BACKWARD_WEIGHTS } dnn_direction;

/* An operation graph that the stand-in knows: one convolution, forward with bias and perhaps ReLU;
 * or `operations`, where these are any. */
typedef struct dnn_problem {
    dnn_operations operations;
    dnn_direction direction;
    conv2d_shape shape;
    dtype parameter_type; /* of bias or dw */
    dnn_tensor x, w, y, bias;
    bool has_bias;
} dnn_problem;

typedef struct dnn_descriptor {
    uint64_t magic;
    cudnnBackendDescriptorType_t type;
    bool finalised;
    int users; /* descriptors that refer to it */
    dnn_attribute attributes[DNN_ATTRIBUTES];
    int attribute_count;
    /* Made when it is finalised, or when it is filled by an attribute of another. */
    struct dnn_descriptor *graph; /* engine, configuration, plan, heuristic */
    bool supported;               /* operation graph: one of ours */
    dnn_problem problem;          /* operation graph */
    dnn_setting setting;          /* engine, configuration, plan */
    dnn_knob knob;                /* knob choice */
} dnn_descriptor;

/* cudnn.c: descriptors. `what` is the caller's name, for violations. */
dnn_descriptor *dnn_check(cudnnBackendDescriptor_t descriptor, const char *what);
const void *dnn_find(const dnn_descriptor *self, cudnnBackendAttributeName_t name, int64_t *count);
int64_t dnn_int64(const dnn_descriptor *self, cudnnBackendAttributeName_t name, int64_t otherwise);
dnn_descriptor *dnn_reference(const dnn_descriptor *self, cudnnBackendAttributeName_t name);
void dnn_refer(dnn_descriptor **slot, dnn_descriptor *to);
cudnnStatus_t dnn_not_supported(const char *reason); /* for cudnnGetLastErrorString */
/* Whether the test wants this call refused, and the status that it answers. */
bool dnn_is_refused(refusable_call kind, cudnnStatus_t *status);
cudnnHandle_t dnn_check_handle(cudnnHandle_t handle, const char *what);
cudaStream_t dnn_stream(cudnnHandle_t handle);

/* cudnn_attributes.c: a violation unless the attribute belongs to the type of descriptor, in that
 * type of value and number; returns the bytes of one value. */
size_t dnn_check_attribute(cudnnBackendDescriptorType_t of, cudnnBackendAttributeName_t name,
                           cudnnBackendAttributeType_t type, int64_t count);
void dnn_check_complete(const dnn_descriptor *self);

/* cudnn_finalize.c */
cudnnStatus_t dnn_finalize(dnn_descriptor *self);
/* cudnn_operations.c: of a graph that does not begin with a convolution. CUDNN_STATUS_NOT_SUPPORTED
 * where one is of another kind. */
cudnnStatus_t dnn_read_operations(dnn_descriptor *const *operations, int64_t count,
                                  dnn_operations *out);
/* memory[i]: of operand i, which is host-addressable; of a virtual one and of a value it is not
 * read. */
void dnn_compute_operations(const dnn_operations *operations, void *const *memory);
/* From its first element to behind its last. */
size_t dnn_extent_bytes(const dnn_tensor *tensor);

/* cudnn_graph.c: what the operations compute; CUDNN_STATUS_NOT_SUPPORTED for other graphs. */
dnn_tensor dnn_read_tensor(const dnn_descriptor *from);
cudnnStatus_t dnn_recognise(dnn_descriptor *const *operations, int64_t count, dnn_problem *out);

/* cudnn_engines.c */
int dnn_heuristic(const dnn_descriptor *graph, cudnnBackendHeurMode_t mode,
                  dnn_setting out[DNN_RESULTS]);
int dnn_numerical_notes(const dnn_problem *problem, int64_t engine,
                        cudnnBackendNumericalNote_t out[CUDNN_NUMERICAL_NOTE_TYPE_COUNT]);
int dnn_behavior_notes(int64_t engine,
                       cudnnBackendBehaviorNote_t out[CUDNN_BEHAVIOR_NOTE_TYPE_COUNT]);
cudnnStatus_t dnn_check_engine(const dnn_problem *problem, int64_t engine);
cudnnStatus_t dnn_check_setting(const dnn_setting *setting);
cudnnStatus_t dnn_check_plan(const dnn_setting *setting);
int64_t dnn_workspace_bytes(const dnn_problem *problem, const dnn_setting *setting);
bool dnn_rounds_to_tf32(const dnn_problem *problem, int64_t engine);
bool dnn_runs_in_capture(int64_t engine);

/* cudnn_compute.c: the result of `problem` on host-addressable memory. */
typedef struct dnn_memory {
    void *x, *w, *y, *bias;
} dnn_memory;
void dnn_compute(const dnn_problem *problem, bool tf32, const dnn_memory *memory);
size_t dnn_tensor_bytes(const dnn_tensor *tensor);

#endif
