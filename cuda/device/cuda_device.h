/* The cuda device's own: what its files share. Host code is C; a .cu holds kernels and their
 * extern "C" launchers (kernels.h) only. */
#ifndef LOCKSTEP_CUDA_DEVICE_CUDA_DEVICE_H
#define LOCKSTEP_CUDA_DEVICE_CUDA_DEVICE_H

#include "device/ops.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

typedef struct choices choices; /* cuda/choices/choices.h: which algorithm for what */

/* avoid.c: what LOCKSTEP_CUDA_AVOID takes out of use, each with another way. */
enum {
    CUDA_AVOID_FUSED_BIAS = 1, /* bias and ReLU as part of cuBLASLt's kernel */
    CUDA_AVOID_FUSED_SUMS = 2, /* a bias's gradient as part of cuBLASLt's kernel */
    CUDA_AVOID_CUBLASLT = 4,
    CUDA_AVOID_CUDNN = 8,
    /* What makes a step of fewer launches; each gives way to the launches that it saves. */
    CUDA_AVOID_LOW_BIASES = 16,       /* a packed copy of each bias */
    CUDA_AVOID_LEFT_GRADIENTS = 32,   /* an update that reads low-precision gradients */
    CUDA_AVOID_PADDED_INPUT = 64,     /* an input of 3 channels that lies as one of 8 */
    CUDA_AVOID_POOLED_SUMS = 128,     /* a bias's gradient made in the pool's backward */
    CUDA_AVOID_GROUPED_UPDATES = 256, /* small units updated with their neighbours */
    CUDA_AVOID_UPDATE_ADVANCE = 512,  /* the step's state moved on by its last update */
    CUDA_AVOID_PRIORITIES = 1024,     /* of streams, and of a graph's nodes */
    CUDA_AVOID_RELU_BITS = 2048       /* a ReLU's mask as part of cuBLASLt's kernels */
};
/* Reads the variable; LS_BAD_INPUT where it names something else. */
int cuda_read_avoided(unsigned *out, ls_error *error);

/* What choosing by time may still take, of all that this device prepares: a model has many shapes,
 * and a run waits for all of them. */
#define CUDA_CHOOSING_SECONDS 10.0

typedef struct cuda_choosing {
    double seconds_left;
    bool collects;               /* device.h's choices_collect: what is unknown waits */
    struct dnn_waiting *waiting; /* cuda/dnn/dnn_settle.h */
} cuda_choosing;

typedef struct cuda_device {
    device base;
    int ordinal;    /* of CUDA, inside CUDA_VISIBLE_DEVICES */
    int capability; /* 90: sm_90 */
    int multiprocessors;
    bool waits_asleep;          /* the host's threads, for the GPU */
    cudaMemPool_t pool;         /* the arena that all device memory comes from */
    cudaStream_t memory_stream; /* allocations and frees are ordered on it */
    void *scratch; /* KERNEL_SCRATCH_BYTES (kernels.h) of device memory, allocated at open */
    cublasLtHandle_t blas;
    cudnnHandle_t dnn;
    choices *choices;
    cuda_choosing choosing;
    bool first_offer; /* device_request's */
    unsigned avoided; /* CUDA_AVOID_... */
} cuda_device;

/* Each host thread has a current GPU of its own, at first GPU 0: every member of the device begins
 * with this, so that no thread makes a context on a GPU that is another rank's. */
static inline cuda_device *cuda_enter(device *self) {
    static _Thread_local const device *entered;
    cuda_device *entering = (cuda_device *)self;
    if (entered != self && cudaSetDevice(entering->ordinal) == cudaSuccess)
        entered = self;
    return entering;
}

/* device_stream and device_event are CUDA's own handles. */
static inline cudaStream_t cuda_stream(device_stream *stream) {
    return (cudaStream_t)stream;
}

static inline cudaEvent_t cuda_event(device_event *event) {
    return (cudaEvent_t)event;
}

/* The device of a plan, entered. Activations are channels last. A packed copy of a parameter is the
 * canonical array rounded to the activations' type, element by element; there is none where these
 * are fp32. */
static inline cuda_device *cuda_enter_plan(const plan *self) {
    return cuda_enter(self->device);
}
/* The packed copies of parameter 0, its weights, and 1, its bias (0: there is none): so many
 * elements of `type`. */
static inline void cuda_plan_packs(plan *self, size_t weights, size_t bias, dtype type) {
    if (type == DTYPE_F32)
        return;
    self->packed[0] =
        (op_packed){.bytes = weights * dtype_bytes(type), .in_order = true, .type = type};
    if (!(((cuda_device *)self->device)->avoided & CUDA_AVOID_LOW_BIASES))
        self->packed[1] =
            (op_packed){.bytes = bias * dtype_bytes(type), .in_order = true, .type = type};
}
/* So is parameter 0's gradient: in the activations' type. */
static inline void cuda_plan_leaves(plan *self, size_t weights, dtype type) {
    if (type != DTYPE_F32 && !(((cuda_device *)self->device)->avoided & CUDA_AVOID_LEFT_GRADIENTS))
        self->left[0] = (op_left){.bytes = weights * dtype_bytes(type), .type = type};
}
/* What its products take as weights. */
static inline const void *cuda_weights(const plan *self, const op_arguments *arguments) {
    return self->packed[0].bytes ? arguments->packed[0] : arguments->parameters[0];
}

/* gpu_facts.c: what the GPU self->ordinal is, into self and its facts; makes no context.
 * LS_BAD_LAUNCH where it is too old for this program's code. */
int cuda_describe_gpu(cuda_device *self, ls_error *error);
int cuda_numa_node(int ordinal); /* -1: not known */
int cuda_check_precision(device *self, precision wanted, ls_error *error);

/* gpu.c: which GPU of this node is this rank's, without touching any other. LS_BAD_LAUNCH with the
 * cause and the fix where there is none. */
int cuda_choose_gpu(const device_request *request, int *ordinal, ls_error *error);
/* "580.65.06 (CUDA 13.0)": the driver, and the newest CUDA that it supports. */
void cuda_driver_text(char *out, size_t capacity);

/* memory.c */
int cuda_arena_open(cuda_device *self, ls_error *error);
void cuda_arena_close(cuda_device *self);
int cuda_allocate(device *self, size_t bytes, const char *what, void **out, ls_error *error);
void cuda_release(device *self, void *memory);
int cuda_memory(device *self, size_t *free_bytes, size_t *total_bytes, ls_error *error);
int cuda_most_held(device *self, size_t *bytes, ls_error *error);
int cuda_host_allocate(device *self, size_t bytes, void **out, ls_error *error);
void cuda_host_release(device *self, void *memory);
int cuda_copy(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
              copy_kind kind, ls_error *error);
int cuda_fill_zero(device *self, device_stream *stream, void *memory, size_t bytes,
                   ls_error *error);

/* graph.c: streams, events and recorded work. */
int cuda_priority(const cuda_device *self, stream_urgency urgency);
int cuda_stream_create(device *self, device_stream **out, ls_error *error);
int cuda_stream_create_urgent(device *self, stream_urgency urgency, device_stream **out,
                              ls_error *error);
void cuda_stream_destroy(device *self, device_stream *stream);
int cuda_stream_synchronize(device *self, device_stream *stream, ls_error *error);
int cuda_event_create(device *self, device_event **out, ls_error *error);
int cuda_order_create(device *self, device_event **out, ls_error *error);
void cuda_event_destroy(device *self, device_event *event);
int cuda_event_record(device *self, device_event *event, device_stream *stream, ls_error *error);
int cuda_event_query(device *self, device_event *event, bool *done, ls_error *error);
int cuda_event_synchronize(device *self, device_event *event, ls_error *error);
int cuda_event_seconds(device *self, device_event *from, device_event *to, double *out,
                       ls_error *error);
int cuda_stream_wait_event(device *self, device_stream *stream, device_event *event,
                           ls_error *error);
int cuda_graph_begin(device *self, device_stream *stream, ls_error *error);
int cuda_graph_end(device *self, device_stream *stream, device_graph **out, ls_error *error);
int cuda_graph_launch(device *self, device_graph *graph, device_stream *stream, ls_error *error);
void cuda_graph_destroy(device *self, device_graph *graph);

/* LS_FAILED with "what: CUDA's text". An error that a kernel left behind (a sticky one) says so,
 * and so does one of a call that may not stand in a recording. */
int cuda_failed(cudaError_t status, const char *what, ls_error *error);
#define CUDA_TRY(call, what)                                                                       \
    do {                                                                                           \
        cudaError_t cuda_status_ = (call);                                                         \
        if (cuda_status_ != cudaSuccess)                                                           \
            return cuda_failed(cuda_status_, what, error);                                         \
    } while (0)

#endif
