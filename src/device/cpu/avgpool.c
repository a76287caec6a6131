/* Global average pooling, vectors of channels that lie side by side; pixels are added in order. */
#include "device/cpu/cpu.h"
#include "device/cpu/values.h"

typedef struct average_view {
    size_t pixels, channels, group, blocks;
} average_view;

static average_view view_of(const avgpool2d_shape *shape) {
    size_t channels = (size_t)shape->channels;
    size_t planes = (size_t)layout_plane_channels(shape->in_layout);
    size_t group = shape->in_layout == LAYOUT_NHWC ? channels : planes ? planes : 1;
    return (average_view){(size_t)shape->height * (size_t)shape->width, channels, group,
                          channels / group};
}

/* A block of an image: its pixels' channels from [in] on, y's from [out] on. */
typedef struct average_block {
    size_t in, out;
} average_block;

static average_block block_at(const average_view *v, size_t index) {
    return (average_block){index * v->pixels * v->group, index * v->group};
}

ALWAYS_INLINE void forward_vector(bool bf16, const average_view *v, const void *x, size_t from,
                                  void *y, size_t to, size_t lanes) {
    floats sum = {0};
    for (size_t pixel = 0; pixel < v->pixels; pixel++)
        sum += load_values(bf16, x, from + pixel * v->group, lanes);
    sum /= (float)v->pixels;
    store_values(bf16, false, y, to, lanes, &sum);
}

ALWAYS_INLINE void backward_vector(bool bf16, const average_view *v, const void *dy, size_t from,
                                   void *dx, size_t to, size_t lanes) {
    floats share = load_values(bf16, dy, from, lanes) / (float)v->pixels;
    for (size_t pixel = 0; pixel < v->pixels; pixel++)
        store_values(bf16, false, dx, to + pixel * v->group, lanes, &share);
}

ALWAYS_INLINE void one_block(bool bf16, bool backward, const average_view *v, average_block at,
                             const void *from, void *to) {
    for (size_t i = 0; i < v->group; i += LANES) {
        size_t lanes = v->group - i < LANES ? v->group - i : LANES;
        if (backward)
            backward_vector(bf16, v, from, at.out + i, to, at.in + i, lanes);
        else
            forward_vector(bf16, v, from, at.in + i, to, at.out + i, lanes);
    }
}

void cpu_avgpool2d_forward(const avgpool2d_shape *shape, const void *x, void *y) {
    average_view v = view_of(shape);
    size_t blocks = (size_t)shape->n * v.blocks;
#pragma omp parallel for schedule(static)
    for (size_t index = 0; index < blocks; index++)
        if (shape->type == DTYPE_BF16)
            one_block(true, false, &v, block_at(&v, index), x, y);
        else
            one_block(false, false, &v, block_at(&v, index), x, y);
}

void cpu_avgpool2d_backward(const avgpool2d_shape *shape, const void *dy, void *dx) {
    average_view v = view_of(shape);
    size_t blocks = (size_t)shape->n * v.blocks;
#pragma omp parallel for schedule(static)
    for (size_t index = 0; index < blocks; index++)
        if (shape->type == DTYPE_BF16)
            one_block(true, true, &v, block_at(&v, index), dy, dx);
        else
            one_block(false, true, &v, block_at(&v, index), dy, dx);
}
