/* The way that a problem is computed in: cuDNN's engine that was chosen for it, or the problem's
 * own kernel. What a client's op keeps of each of its graphs. */
#ifndef LOCKSTEP_CUDA_DNN_DNN_WAY_H
#define LOCKSTEP_CUDA_DNN_DNN_WAY_H

#include "base/text_buffer.h"
#include "cuda/dnn/dnn_choose.h"

typedef struct dnn_way {
    cuda_device *device;
    const dnn_problem *problem; /* NULL: there is none, as backward-data of a first layer */
    dnn_run run;                /* zeroed where cuDNN has none: the problem's kernel computes */
    bool refused;               /* while it trained: from then on, too */
    char source[CHOICE_SOURCE_BYTES];
} dnn_way;

/* Chooses an engine (dnn_choose.h), which takes at most half a second to build candidates (and the
 * rest of a compilation that was begun) and as much to time them. Synchronises. *out is zeroed;
 * `problem` must outlive it. */
int dnn_way_prepare(cuda_device *device, const dnn_problem *problem, dnn_way *out, ls_error *error);
void dnn_way_release(dnn_way *self); /* zeroed is fine */

/* "cuDNN forward 10.9f3c21aa (best of 16)", by cuDNN's number of the engine and a hash over the
 * values of its knobs; or "our wgrad kernel (no engine)". Nothing where there is no problem; "; "
 * before it where `to` holds something. */
void dnn_way_describe(const dnn_way *self, text_buffer *to);

/* The type that cuDNN sees of what is fp32 in our memory (dnn_problem.forms); fp32 where a kernel
 * of ours computes. */
dtype dnn_way_form(const dnn_way *self);

/* Allocates and synchronises nothing, and may be recorded into a graph. What cuDNN refuses is
 * computed by the problem's kernel, now and from then on, and stands among the device's fallbacks;
 * LS_FAILED where it has none. */
int dnn_way_run(dnn_way *self, cuda_device *device, cudaStream_t stream,
                const dnn_pointers *pointers, ls_error *error);

#endif
