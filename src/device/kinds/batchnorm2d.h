/* Batch normalisation of images, channel by channel over n, h and w (Ioffe and Szegedy, "Batch
 * Normalization", 2015), with what follows it in a residual network, in one op:
 *
 *     y = [relu]( (x[0] - mean) / sqrt(variance + epsilon) * gamma + beta [+ x[1]] )
 *
 * x[0], x[1] and y are [n,h,w,c] in one layout; y is rounded to the type once. Parameters: gamma
 * [c] and beta [c]; buffers: running mean [c] and running variance [c], fp32.
 *
 * Training: mean and variance are the batch's (the variance is biased: divided by the n * h * w
 * values), and each running statistic moves to (1 - momentum) * itself + momentum * the batch's,
 * with the unbiased variance, as PyTorch has it. (A channel of a single value has the variance 0;
 * PyTorch refuses it.) Evaluation: mean and variance are the running ones, which stay.
 *
 * Where op_arguments.sums is given, the batch is that of all ranks (as PyTorch's SyncBatchNorm has
 * it): n * h * w, mean and variance in forward, and the sums that dx[0] is made of in
 * backward_parameters, are added up, batchnorm2d_sums values each time. The gradients of gamma and
 * beta stay this rank's part.
 *
 * Again (op_arguments.again): by the mean and variance in `saved`, which is small.
 *
 * Backward. dy is the gradient of y as it was stored: the op applies the ReLU's derivative itself,
 * and a dy that is masked already gives the same. backward_parameters comes first: it writes the
 * gradients of gamma and beta and, where it is wanted, dx[1], which is the masked dy; then
 * backward_inputs writes dx[0], and reads dx[1], where that is wanted, instead of dy. It reads x[0]
 * again, and y where the op joins and has a ReLU. `saved` goes from forward to backward_parameters
 * and on to backward_inputs. */
#ifndef LOCKSTEP_DEVICE_KINDS_BATCHNORM2D_H
#define LOCKSTEP_DEVICE_KINDS_BATCHNORM2D_H

#include "device/op.h"

typedef struct batchnorm2d_shape {
    int n, height, width, channels;
    tensor_layout layout;
    dtype type; /* of activations */
    bool joins; /* there is an x[1] */
    activation activation;
    double epsilon, momentum; /* PyTorch's defaults: 1e-5, 0.1 */
} batchnorm2d_shape;

extern const op_kind op_batchnorm2d;

/* What ranks add up: how many values a channel has; then of each channel, in forward, their sum and
 * the sum of their squares, in backward the sums of dy and of dy times the normalised x. In double,
 * a variance that is 2^-40 of the squared mean is still good to 2^-12. */
static inline size_t batchnorm2d_sums(int channels) {
    return 1 + 2 * (size_t)channels;
}

#endif
