/* A convolution as cuDNN is asked for it: the three operation graphs of a conv2d_shape.
 *
 *     forward           y  = [relu](x * w [+ bias])
 *     backward data     dx = the adjoint in x
 *     backward weights  dw = the adjoint in w
 *
 * x, y, w and their gradients have the shape's type, sums are made in fp32. bias and dw are fp32
 * in memory that we own, but cuDNN's compiled engines want them in the shape's 16 bit type too
 * (only those that it compiles at run time mix, and not all of them). So a graph exists in two
 * forms, by the type that cuDNN sees of bias or dw; the 16 bit one is tried first. Tensors are
 * channels last, so that weights [out, kh, kw, in] need no reordering.
 */
#ifndef LOCKSTEP_CUDA_DNN_CONV_GRAPH_H
#define LOCKSTEP_CUDA_DNN_CONV_GRAPH_H

#include "cuda/dnn/dnn_problem.h"
#include "device/kinds/conv2d.h"

#include <stddef.h>

typedef enum { CONV_FORWARD, CONV_BACKWARD_DATA, CONV_BACKWARD_WEIGHTS } conv_direction;
enum { CONV_DIRECTIONS = 3 };

/* "forward", "dgrad", "wgrad": one word, for tables and keys. */
const char *conv_direction_name(conv_direction direction);

/* Slots. INPUT is x or dx, OUTPUT y or dy, WEIGHTS w as the shape's type has it, or dw as fp32;
 * BIAS is forward's alone, fp32. dw and BIAS may be in the shape's type where dnn_pointers.low says
 * so. KERNEL_BIAS is the bias in fp32, for the kernel of ours. Weights and bias may lie at any
 * address, the others are aligned. */
enum { CONV_INPUT, CONV_WEIGHTS, CONV_OUTPUT, CONV_BIAS, CONV_KERNEL_BIAS };

typedef struct conv_problem {
    dnn_problem base;
    conv2d_shape shape;
    conv_direction direction;
} conv_problem;

/* y's height or width, for x's. */
int conv_output_size(const conv2d_shape *shape, int input);

size_t conv_weight_count(const conv2d_shape *shape); /* elements of w */

/* LS_FAILED where the kernel does not fit the input, or the type is none that a convolution has. */
int conv_problem_init(const conv2d_shape *shape, conv_direction direction, conv_problem *out,
                      ls_error *error);

#endif
