/* Convolution on the cuda device, by cuDNN 9's graph API. The op's contract is in
 * device/kinds/conv2d.h. Of its own it has conv_graph.h (what is asked of cuDNN) and conv_kernel.h
 * (what computes where cuDNN does not). The rest serves any graph of cuDNN's; reading order:
 * dnn_problem.h (what a client brings), dnn_graph.h (how a graph is built), dnn_engine.h (how cuDNN
 * would compute it), dnn_choose.h (which of its ways is taken), dnn_run.h (doing it), dnn_way.h
 * (all of this for one graph), choices.h (remembering).
 *
 * An input of 3 channels lies as one of 8 (LAYOUT_NHWC_PADDED), and so do the packed weights and
 * the gradient of these: cuDNN's tensor-core engines want a multiple of 8, and pad anything else
 * themselves each time, in kernels of their own. Their least workspace tells: with 3 channels it is
 * that padded input and weight, with 8 forward needs none (tests/plans/ holds it). The channels are
 * added where the batch is made, which runs beside the step before. */
#ifndef LOCKSTEP_CUDA_DNN_CONV_H
#define LOCKSTEP_CUDA_DNN_CONV_H

#include "cuda/device/cuda_device.h"
#include "device/kinds/conv2d.h"

/* Preparing builds the plans of all directions; the engines are those of device->choices, or are
 * chosen (dnn_way.h). It synchronises. The other members allocate and synchronise nothing, and may
 * be recorded into a graph; x, y, dy and dx are aligned to 16 bytes (LS_FAILED, where cuDNN
 * computes). */
extern const op cuda_conv2d;

#endif
