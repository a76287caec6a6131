/* The cuda device's own: what its files share. Host code is C; a .cu holds kernels and their
 * extern "C" launchers (kernels.h) only. */
#ifndef LOCKSTEP_CUDA_CUDA_DEVICE_H
#define LOCKSTEP_CUDA_CUDA_DEVICE_H

#include "device/ops.h"

#include <cublasLt.h>
#include <cuda_runtime_api.h>
#include <cudnn.h>

typedef struct conv_choices conv_choices; /* conv_choices.h: which engine for which convolution */

typedef struct cuda_device {
    device base;
    int ordinal;                /* of CUDA, inside CUDA_VISIBLE_DEVICES */
    int capability;             /* 90: sm_90 */
    int multiprocessors;
    cudaMemPool_t pool;         /* the arena that all device memory comes from */
    cudaStream_t memory_stream; /* allocations and frees are ordered on it */
    cublasLtHandle_t blas;
    cudnnHandle_t dnn;
    conv_choices *choices;
} cuda_device;

/* device_stream and device_event are CUDA's own handles. */
static inline cudaStream_t cuda_stream(device_stream *stream) {
    return (cudaStream_t)stream;
}

typedef enum { CUDA_CONV2D, CUDA_LINEAR, CUDA_MAXPOOL2D } cuda_plan_kind;

/* A prepared op; `struct plan` of ops.h is this, for this device. Activations are channels last.
 * The packed copy of weights is the canonical array rounded to `packed_type`, element by element;
 * none (packed_bytes 0) where activations are fp32. */
typedef struct cuda_plan {
    cuda_device *device;
    cuda_plan_kind kind;
    union {
        conv2d_shape conv2d;
        linear_shape linear;
        maxpool2d_shape maxpool2d;
    } shape;
    dtype packed_type;
    size_t packed_bytes, workspace_bytes, saved_bytes;
    char description[256];
    void *detail;                /* conv.c's or linear.c's own */
    void (*release_detail)(void *detail);
} cuda_plan;

static inline cuda_plan *cuda_plan_of(plan *plan) {
    return (cuda_plan *)plan;
}

int cuda_plan_create(device *self, cuda_plan_kind kind, cuda_plan **out, ls_error *error);
void cuda_plan_release(device *self, plan *plan);

/* LS_FAILED with "what: CUDA's text". An error that a kernel left behind (a sticky one) says so. */
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
