/* 3 x 3 convolutions of stride 1 by Winograd's minimal filtering (A. Lavin and S. Gray,
 * Fast Algorithms for Convolutional Neural Networks, CVPR 2016): tiles of 4 x 4 outputs take 36
 * products a channel where the direct algorithm takes 144, tiles of 2 x 2 take 16 where it
 * takes 36.
 *
 * Forward: V = transformed tiles of x [element][tile][in], U = transformed filters
 * [element][in][out], M = V * U for each element, y = M transformed back, with bias and ReLU.
 * Backward of data: the same with dy, the filters turned by half a turn and their channels
 * exchanged. Backward of weights is forward's transpose: W = transformed tiles of dy, the gradient
 * of U = the sum over tiles of transposed W * V, and that is transformed back to 3 x 3.
 *
 * Activations are fp32, or bf16 and then filters are rounded to bf16 as well; all between is fp32.
 *
 * V, W and M are made for a block of tiles at a time and stay in the caches. Every value is summed
 * in one order, whatever the number of threads. */
#ifndef LOCKSTEP_DEVICE_CPU_WINOGRAD_H
#define LOCKSTEP_DEVICE_CPU_WINOGRAD_H

#include "device/cpu/winograd_kernels.h"
#include "device/kinds/conv2d.h"

/* From one activation to another: y from x, or dx from dy. */
typedef struct winograd_pass {
    const winograd_kernels *kernels;
    winograd_image from, to;       /* of a sample */
    size_t from_sample, to_sample; /* bytes between samples */
    int n, padding;
    int down, across; /* tiles of a sample */
    bool relu;
} winograd_pass;

typedef struct winograd {
    winograd_pass forward, backward;
    int threads; /* at most */
} winograd;

/* Whether it serves the shape and is faster than a direct convolution; then *out is made for it,
 * for at most so many threads. */
bool cpu_winograd_choose(const conv2d_shape *shape, int threads, winograd *out);

size_t cpu_winograd_workspace_bytes(const winograd *self); /* for any of the calls */

/* U as forward's products take it, of canonical weights; and as those of backward of data. */
size_t cpu_winograd_packed_bytes(const winograd_pass *pass);
void cpu_winograd_pack_forward(const winograd *self, const float *weights, float *packed);
void cpu_winograd_pack_backward(const winograd *self, const float *weights, float *packed);

/* y from x, or dx from dy, with the direction's U. bias NULL: none. */
void cpu_winograd_run(const winograd *self, const winograd_pass *pass, const void *from,
                      const float *packed, const float *bias, void *to, float *workspace);
/* The contract of op.backward_parameters (device/kinds/conv2d.h). dbias NULL: there is none. */
void cpu_winograd_backward_weights(const winograd *self, const void *x, const void *dy,
                                   float *dweights, float *dbias, float *workspace);

/* --- what the files of it share */

enum { WINOGRAD_APART = 16 }; /* floats between elements' arrays, that no two share a cache's set */

static inline int winograd_elements(const winograd_pass *pass) {
    return (pass->kernels->size + 2) * (pass->kernels->size + 2);
}

static inline int winograd_tiles(const winograd_pass *pass) {
    return pass->n * pass->down * pass->across;
}

/* Where a tile's first output stands. */
typedef struct winograd_tile {
    size_t sample;
    int row, column;
} winograd_tile;

static inline winograd_tile winograd_tile_at(const winograd_pass *pass, int index) {
    int size = pass->kernels->size, within = index % (pass->down * pass->across);
    return (winograd_tile){(size_t)(index / (pass->down * pass->across)),
                           within / pass->across * size, within % pass->across * size};
}

/* U lies in blocks of WINOGRAD_GROUP columns, each [element][panel][depth][columns of the panel];
 * the last one, and its last panel, may be narrower. In floats. */
static inline size_t winograd_u_element(int columns, int depth) {
    return (size_t)columns * (size_t)depth + WINOGRAD_APART;
}

static inline int winograd_columns(int channels, int first) {
    return channels - first < WINOGRAD_GROUP ? channels - first : WINOGRAD_GROUP;
}

static inline size_t winograd_u_block(const winograd_pass *pass, int first) {
    return (size_t)winograd_elements(pass) * (size_t)(first / WINOGRAD_GROUP) *
           winograd_u_element(WINOGRAD_GROUP, pass->from.channels);
}

size_t cpu_winograd_weights_floats(const winograd *self); /* of workspace */

#endif
