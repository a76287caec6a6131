/* The three operation graphs of a conv2d_shape, as cuDNN sees them. Nothing here needs a GPU: the
 * same code builds the graphs that a device runs and those that tests/plans/ plans for a GPU that
 * is not there.
 *
 *     forward           y  = [relu](x * w + bias)
 *     backward data     dx = the adjoint in x
 *     backward weights  dw = the adjoint in w
 *
 * x, y, w and their gradients have the shape's type, sums are made in fp32. bias and dw are fp32
 * in memory that we own, but cuDNN's compiled engines want them in the shape's 16 bit type too
 * (only those that it compiles at run time mix, and not all of them). So a graph exists in two
 * forms, by the type that cuDNN sees of bias or dw; who runs the 16 bit form casts. Tensors are
 * channels last, so that weights [out, kh, kw, in] need no reordering; cuDNN writes their
 * dimensions in the order n, c, h, w and says the rest by strides.
 */
#ifndef LOCKSTEP_CUDA_CONV_GRAPH_H
#define LOCKSTEP_CUDA_CONV_GRAPH_H

#include "conv_descriptor.h"
#include "device/ops.h"

#include <stddef.h>

typedef enum { CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_WEIGHTS } conv_direction;
enum { CONV_DIRECTIONS = 3 };

/* "forward", "dgrad", "wgrad": one word, for tables and keys. */
const char *conv_direction_name(conv_direction direction);

/* What a pointer of an execution is for; the numbers are cuDNN's unique ids. */
enum { CONV_UID_INPUT = 1, CONV_UID_WEIGHTS, CONV_UID_OUTPUT, CONV_UID_BIAS, CONV_UID_VIRTUAL };

enum {
    CONV_MAX_TENSORS = 4, /* that have memory */
    CONV_ALIGNMENT = 16,  /* bytes: what every tensor's address must be a multiple of */
    CONV_MAX_DESCRIPTORS = 16
};

typedef struct conv_graph {
    conv2d_shape shape;
    conv_direction direction;
    dtype parameter_type; /* of bias or dw: DTYPE_F32 or the shape's type */
    cudnnHandle_t handle; /* NULL: for a GPU that is not in this machine */
    cudnnBackendDescriptor_t operations;
    int64_t uids[CONV_MAX_TENSORS]; /* of the tensors with memory */
    int uid_count;
    cudnnBackendDescriptor_t owned[CONV_MAX_DESCRIPTORS];
    int owned_count;
} conv_graph;

/* y's height or width, for x's. */
int conv_output_size(const conv2d_shape *shape, int input);

size_t conv_weight_count(const conv2d_shape *shape); /* elements of w */

/* The forms of a graph in the order they are tried: the 16 bit one first, whose engines are
 * compiled ahead of time. Returns how many: 1 or 2. */
int conv_parameter_types(const conv2d_shape *shape, conv_direction direction, dtype types[2]);

/* LS_FAILED where the kernel does not fit the input, or the type is none that a convolution has. */
int conv_check_shape(const conv2d_shape *shape, ls_error *error);

/* LS_FAILED for a shape of that kind, or where cuDNN refuses. */
int conv_graph_create(const conv2d_shape *shape, conv_direction direction, dtype parameter_type,
                      cudnnHandle_t handle, conv_graph **out, ls_error *error);
void conv_graph_destroy(conv_graph *self); /* NULL is fine */

/* Bytes of a tensor of the graph: what a timing run has to allocate. */
size_t conv_tensor_bytes(const conv_graph *graph, int64_t uid);

#endif
