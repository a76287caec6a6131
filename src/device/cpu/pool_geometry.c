/* Max pooling sees its tensors as runs of channels (pool.h). */
#include "device/cpu/pool.h"

static pool_grid grid_of(tensor_layout layout, int height, int width, int channels, int group) {
    size_t plane = (size_t)height * (size_t)width;
    size_t row = (size_t)width;
    pool_grid out = {.image = plane * (size_t)channels};
    if (layout == LAYOUT_NHWC) {
        out.block = (size_t)group;
        out.column = (size_t)channels;
    } else { /* a block is a whole plane of `group` */
        out.block = plane * (size_t)group;
        out.column = (size_t)group;
    }
    out.row = row * out.column;
    return out;
}

/* Of two layouts with planes, the same ones (prepare). */
static int group_of(const maxpool2d_shape *shape) {
    int in = layout_plane_channels(shape->in_layout);
    int out = layout_plane_channels(shape->out_layout);
    if (shape->in_layout == LAYOUT_NCHW || shape->out_layout == LAYOUT_NCHW)
        return 1;
    if (in || out)
        return in ? in : out;
    return shape->channels;
}

pool_geometry cpu_pool_geometry(const maxpool2d_shape *shape) {
    pool_geometry made = {.out_height = maxpool2d_output(shape, shape->height),
                          .out_width = maxpool2d_output(shape, shape->width)};
    made.group = group_of(shape);
    made.blocks = shape->channels / made.group;
    made.in = grid_of(shape->in_layout, shape->height, shape->width, shape->channels, made.group);
    made.out =
        grid_of(shape->out_layout, made.out_height, made.out_width, shape->channels, made.group);
    return made;
}

pool_steps cpu_pool_steps(const maxpool2d_shape *shape, const pool_geometry *g) {
    return (pool_steps){.row = g->in.row,
                        .column = g->in.column,
                        .out_row = g->out.row,
                        .out_column = g->out.column,
                        .window = shape->window,
                        .stride = maxpool2d_stride(shape),
                        .padding = shape->padding,
                        .height = shape->height,
                        .width = shape->width};
}

pool_place cpu_pool_place(const maxpool2d_shape *shape, const pool_geometry *g, int index) {
    int h = index % g->out_height, block = index / g->out_height % g->blocks;
    int n = index / g->out_height / g->blocks;
    size_t padding = (size_t)shape->padding;
    size_t first = (size_t)n * g->in.image + (size_t)block * g->in.block;
    return (pool_place){.in = first + (size_t)(h * maxpool2d_stride(shape)) * g->in.row -
                              padding * g->in.row - padding * g->in.column,
                        .out = (size_t)n * g->out.image + (size_t)block * g->out.block +
                               (size_t)h * g->out.row,
                        .saved = (size_t)index * (size_t)g->out_width * (size_t)g->group,
                        .row = h};
}
