/* The cuda device's own: what its files share. Host code is C; a .cu holds kernels and their
 * extern "C" launchers (kernels.h) only. */
#ifndef LOCKSTEP_CUDA_CUDA_DEVICE_H
#define LOCKSTEP_CUDA_CUDA_DEVICE_H

#include "device/ops.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

typedef struct conv_choices conv_choices; /* choices.h: which engine for which convolution */

/* avoid.c: what LOCKSTEP_CUDA_AVOID takes out of use, each with another way. */
enum {
    CUDA_AVOID_FUSED_BIAS = 1, /* bias and ReLU as part of cuBLASLt's kernel */
    CUDA_AVOID_FUSED_SUMS = 2, /* a bias's gradient as part of cuBLASLt's kernel */
    CUDA_AVOID_CUBLASLT = 4,
    CUDA_AVOID_CUDNN = 8
};
/* Reads the variable; LS_BAD_INPUT where it names something else. */
int cuda_read_avoided(unsigned *out, ls_error *error);

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
    conv_choices *choices;
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

typedef enum { CUDA_CONV2D, CUDA_LINEAR, CUDA_MAXPOOL2D } cuda_plan_kind;

/* A prepared op; `struct plan` of ops.h is this, for this device. Activations are channels last.
 * The packed copy of weights is the canonical array rounded to `packed_type`, element by element;
 * none (packed_bytes 0) where activations are fp32. */
typedef struct cuda_plan cuda_plan;
struct cuda_plan {
    cuda_device *device;
    cuda_plan_kind kind;
    union {
        conv2d_shape conv2d;
        linear_shape linear;
        maxpool2d_shape maxpool2d;
    } shape;
    dtype packed_type;
    size_t packed_bytes, workspace_bytes, saved_bytes;
    char description[384];
    void *detail; /* conv.c's or linear.c's own */
    void (*release_detail)(void *detail);
    void (*describe)(cuda_plan *self); /* writes the description anew; NULL: it stays */
};

static inline cuda_plan *cuda_plan_of(plan *plan) {
    return (cuda_plan *)plan;
}

int cuda_plan_create(device *self, cuda_plan_kind kind, cuda_plan **out, ls_error *error);
void cuda_plan_release(device *self, plan *plan);

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
int cuda_host_allocate(device *self, size_t bytes, void **out, ls_error *error);
void cuda_host_release(device *self, void *memory);
int cuda_copy(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
              copy_kind kind, ls_error *error);
int cuda_fill_zero(device *self, device_stream *stream, void *memory, size_t bytes,
                   ls_error *error);

/* graph.c: streams, events and recorded work. */
int cuda_stream_create(device *self, device_stream **out, ls_error *error);
void cuda_stream_destroy(device *self, device_stream *stream);
int cuda_stream_synchronize(device *self, device_stream *stream, ls_error *error);
int cuda_event_create(device *self, device_event **out, ls_error *error);
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

/* The ops, by file; their contracts are in device/ops.h. ops_cuda.c holds the table. */
extern const ops ops_cuda;

#endif
