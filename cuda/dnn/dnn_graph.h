/* An operation graph of cuDNN's graph API, built of tensors and operations. Nothing here knows what
 * is computed: a client (conv_graph.c) adds its own. Nothing here needs a GPU: the same code builds
 * the graphs that a device runs and those that tests/plans/ plans for a GPU that is not there. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_GRAPH_H
#define LOCKSTEP_CUDA_DNN_DNN_GRAPH_H

#include "cuda/dnn/dnn_descriptor.h"
#include "device/device.h"

#include <stddef.h>

enum {
    DNN_ALIGNMENT = 16, /* bytes: what every tensor's address must be a multiple of */
    /* Pointers of one call: cuDNN's widest operation, attention's backward, has fewer. */
    DNN_SLOTS = 16,
    DNN_MOST_SCALARS = 8,
    DNN_MOST_ADDRESSES = DNN_SLOTS + DNN_MOST_SCALARS
};

typedef enum {
    DNN_INPUT,   /* in our memory, read */
    DNN_OUTPUT,  /* in our memory, written */
    DNN_VIRTUAL, /* between two operations: has no memory */
    DNN_SCALAR   /* one fp32 value that the graph itself holds */
} dnn_tensor_kind;

typedef struct dnn_tensor {
    const char *name; /* "weights": for the text of a failure; not copied */
    dnn_tensor_kind kind;
    int slot;     /* of an input or output: which pointer of a call is its, 0 .. DNN_SLOTS - 1 */
    dtype type;   /* as cuDNN is to see it */
    dtype stored; /* an input's or output's: as it lies in our memory */
    /* Where `stored` is not `type`, or an address is not aligned to DNN_ALIGNMENT, a call takes it
     * by way of the workspace (dnn_run.h); false: such an address is refused. */
    bool staged;
    int dimensions; /* `sizes` and `strides` (in elements) that count */
    int64_t sizes[CUDNN_DIM_MAX], strides[CUDNN_DIM_MAX];
    float value; /* DNN_SCALAR's */
} dnn_tensor;

/* Sizes and strides of [n, h, w, channels], in the order n, c, h, w that cuDNN writes. */
void dnn_tensor_lies_channels_last(dnn_tensor *self, int64_t n, int64_t channels, int64_t height,
                                   int64_t width);
size_t dnn_tensor_elements(const dnn_tensor *self);
/* From the first to behind the last: more where it lies in parts. */
size_t dnn_tensor_extent(const dnn_tensor *self);

/* What sums are asked for: an engine that adds up in another way is left out (dnn_engine.h). */
typedef struct dnn_sums {
    dtype type; /* of the factors */
    bool tf32;  /* type fp32: factors may be rounded to TF32 */
} dnn_sums;

typedef struct dnn_graph {
    dnn_sums sums;
    cudnnHandle_t handle;                   /* NULL: for a GPU that is not in this machine */
    dnn_tensor tensors[DNN_MOST_ADDRESSES]; /* those with an address, as they were added */
    int64_t ids[DNN_MOST_ADDRESSES];        /* their unique ids */
    int tensor_count;
    int nameless; /* ids given to tensors that have no slot */
    cudnnBackendDescriptor_t *operations, *owned;
    int operation_count, owned_count;
    cudnnBackendDescriptor_t made; /* the operation graph: dnn_graph_finish */
} dnn_graph;

int dnn_graph_create(const dnn_sums *sums, cudnnHandle_t handle, dnn_graph **out, ls_error *error);
void dnn_graph_destroy(dnn_graph *self); /* NULL is fine */

/* Each of these is LS_FAILED where cuDNN refuses, or where there is no memory; what was added until
 * then is destroyed with the graph. */

/* *out is the graph's. LS_FAILED also for a slot that is taken or not there. */
int dnn_graph_add_tensor(dnn_graph *self, const dnn_tensor *tensor, cudnnBackendDescriptor_t *out,
                         ls_error *error);
/* Finishes any other descriptor ("a convolution": its strides and paddings); *out is the graph's.
 */
int dnn_graph_own(dnn_graph *self, descriptor_builder *builder, cudnnBackendDescriptor_t *out,
                  ls_error *error);
/* Finishes an operation and puts it behind those that the graph has. */
int dnn_graph_add_operation(dnn_graph *self, descriptor_builder *builder, ls_error *error);
/* to = mode(from[, with]), computed in fp32. `what`: "bias or ReLU". `with` may be NULL. */
int dnn_graph_add_pointwise(dnn_graph *self, const char *what, cudnnPointwiseMode_t mode,
                            cudnnBackendDescriptor_t from, cudnnBackendDescriptor_t with,
                            cudnnBackendDescriptor_t to, ls_error *error);
/* to = left x right over the last two dimensions, sums in fp32; a factor is transposed by its
 * strides. */
int dnn_graph_add_matmul(dnn_graph *self, const char *what, cudnnBackendDescriptor_t left,
                         cudnnBackendDescriptor_t right, cudnnBackendDescriptor_t to,
                         ls_error *error);
/* to = what is left of `from` where a dimension of it becomes 1, in fp32. */
int dnn_graph_add_reduction(dnn_graph *self, const char *what, cudnnReduceTensorOp_t operator,
                            cudnnBackendDescriptor_t from, cudnnBackendDescriptor_t to,
                            ls_error *error);
/* to = the same elements, in its own sizes and strides. */
int dnn_graph_add_reshape(dnn_graph *self, const char *what, cudnnBackendDescriptor_t from,
                          cudnnBackendDescriptor_t to, ls_error *error);
/* All operations were added. */
int dnn_graph_finish(dnn_graph *self, ls_error *error);

/* The pointers of one execution: addresses[i] is for graph->tensors[i]; a scalar's is not read, the
 * graph has its value. The caller destroys *out, before the graph. */
int dnn_pack_build(const dnn_graph *graph, const void *const *addresses, void *workspace,
                   cudnnBackendDescriptor_t *out, ls_error *error);

#endif
