/* What a convolution by oneDNN is made of (conv2d.c): what it is told of the
 * tensors (conv2d_descs.c), and backward of weights (conv2d_weights.c).
 *
 * oneDNN's threads share out a batch's backward of weights in bf16 so that they wait for each
 * other, spinning, at every image: who loses its core for a moment holds up all. There each thread
 * takes a part of the batch with a call of its own, made for one thread, and the parts' gradients
 * are added up in their order. In fp32 oneDNN's threads wait once, and one call serves all. */
#ifndef LOCKSTEP_DEVICE_CPU_CONV2D_PARTS_H
#define LOCKSTEP_DEVICE_CPU_CONV2D_PARTS_H

#include "device/cpu/onednn.h"
#include "device/kinds/conv2d.h"

typedef struct conv2d_descs {
    onednn_desc x, y, bias, weights_any, gradient_any, canonical;
    onednn_window window;
} conv2d_descs;

conv2d_descs cpu_conv2d_describe(const conv2d_shape *shape, onednn_algorithm algorithm);
void cpu_conv2d_forget(const conv2d_descs *descs);

typedef struct conv2d_weights {
    conv2d_shape shape;
    onednn_call *calls; /* [parts] of the batch */
    int parts;
    onednn_call unpack;     /* from oneDNN's blocked gradient to the canonical one */
    size_t gradient_bytes;  /* of the blocked one */
    size_t scratch_bytes;   /* of a part */
    bool has_idle_taps;     /* of the filter: they meet no pixel */
    size_t workspace_bytes; /* of a run */
} conv2d_weights;

/* For the threads that there are when it is called. `forward`: the call of the whole shape. */
int cpu_conv2d_weights_prepare(onednn *engine, const conv2d_shape *shape, const conv2d_descs *descs,
                               const onednn_call *forward, conv2d_weights *out, ls_error *error);
/* The contract of op.backward_parameters (device/kinds/conv2d.h). */
int cpu_conv2d_weights_run(conv2d_weights *self, const void *x, const void *dy, float *dweights,
                           float *dbias, void *workspace, ls_error *error);
void cpu_conv2d_weights_release(conv2d_weights *self);

#endif
