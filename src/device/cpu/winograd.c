#include "device/cpu/winograd.h"

#include "device/cpu/onednn.h"

#include <omp.h>

/* How a pass is cut. V of a block of tiles: each thread's own in its second-level cache, or, where
 * U is too large to be read again for each of so few tiles, or blocks are too few, all threads' one
 * in the last-level cache. A unit is what a thread makes of y at once: some tiles of a block, a
 * group of channels. */
typedef struct blocking {
    bool shared;
    int tiles, unit_tiles;
    size_t v_floats, m_floats; /* of a block, of a unit */
} blocking;

enum {
    OWN_V_BYTES = 512 << 10,
    SHARED_V_BYTES = 5 << 20,
    OWN_U_BYTES = 4 << 20, /* at most: it shares the last-level cache with other threads' */
    MOST_UNIT_TILES = 48,  /* in sixes, as products take them */
    LEAST_UNIT_TILES = 12
};

static int at_most(int limit, int value) {
    return value < limit ? value : limit;
}

static int divided(int value, int by) {
    return (value + by - 1) / by;
}

static size_t v_element(const winograd_pass *pass, int tiles) {
    size_t floats = (size_t)tiles * (size_t)pass->from.channels;
    return (floats + WINOGRAD_APART - 1) / WINOGRAD_APART * WINOGRAD_APART + WINOGRAD_APART;
}

static size_t m_element(int tiles) {
    return (size_t)tiles * WINOGRAD_GROUP + WINOGRAD_APART;
}

static int tiles_in(const winograd_pass *pass, int bytes) {
    int tile = winograd_elements(pass) * pass->from.channels * (int)sizeof(float);
    int tiles = bytes / tile / MOST_UNIT_TILES * MOST_UNIT_TILES;
    return tiles ? tiles : bytes / tile / LEAST_UNIT_TILES * LEAST_UNIT_TILES;
}

static blocking blocking_of(const winograd_pass *pass, int threads) {
    int total = winograd_tiles(pass), groups = divided(pass->to.channels, WINOGRAD_GROUP);
    int own = at_most(MOST_UNIT_TILES, tiles_in(pass, OWN_V_BYTES));
    blocking out = {.unit_tiles = MOST_UNIT_TILES};
    out.shared = cpu_winograd_packed_bytes(pass) > OWN_U_BYTES || own < LEAST_UNIT_TILES ||
                 divided(total, own) < 2 * threads;
    if (out.shared) {
        int most = tiles_in(pass, SHARED_V_BYTES);
        most = most < LEAST_UNIT_TILES ? LEAST_UNIT_TILES : most;
        out.tiles = divided(total, divided(total, most));
        while (out.unit_tiles > LEAST_UNIT_TILES &&
               divided(out.tiles, out.unit_tiles) * groups < 2 * threads)
            out.unit_tiles /= 2;
    } else {
        out.tiles = own;
    }
    out.unit_tiles = at_most(out.tiles, out.unit_tiles);
    size_t elements = (size_t)winograd_elements(pass);
    out.v_floats = elements * v_element(pass, out.tiles);
    out.m_floats = elements * m_element(out.unit_tiles);
    return out;
}

typedef struct block {
    const winograd_pass *pass;
    const void *from;
    const float *packed, *bias;
    void *to;
    float *v;
    int first, tiles; /* of all tiles */
    size_t element;   /* of V */
} block;

static void make_input(const block *b, int tile) {
    const winograd_pass *pass = b->pass;
    winograd_tile at = winograd_tile_at(pass, b->first + tile);
    winograd_place place = {b->element, WINOGRAD_GROUP};
    pass->kernels->input(&pass->from, (const char *)b->from + at.sample * pass->from_sample,
                         at.row - pass->padding, at.column - pass->padding,
                         b->v + (size_t)tile * (size_t)pass->from.channels, place);
}

/* Tiles first to first + tiles of a block, a group of channels from `channel` on. */
static void make_unit(const block *b, int first, int tiles, int channel, float *m) {
    const winograd_pass *pass = b->pass;
    int depth = pass->from.channels, columns = winograd_columns(pass->to.channels, channel);
    size_t element = m_element(tiles);
    winograd_product product = {.a_row = (size_t)depth,
                                .a_depth = 1,
                                .b_panel = (size_t)pass->kernels->panel * (size_t)depth,
                                .c_row = WINOGRAD_GROUP,
                                .rows = tiles,
                                .columns = columns,
                                .depth = depth};
    for (int e = 0; e < winograd_elements(pass); e++) {
        product.a = b->v + (size_t)e * b->element + (size_t)first * (size_t)depth;
        product.b = b->packed + winograd_u_block(pass, channel) +
                    (size_t)e * winograd_u_element(columns, depth);
        product.c = m + (size_t)e * element;
        pass->kernels->multiply(&product);
    }
    for (int tile = 0; tile < tiles; tile++) {
        winograd_tile at = winograd_tile_at(pass, b->first + first + tile);
        pass->kernels->output(&pass->to, m + (size_t)tile * WINOGRAD_GROUP, element, b->bias,
                              pass->relu, (char *)b->to + at.sample * pass->to_sample, at.row,
                              at.column, channel, columns);
    }
}

static void run_own(block b, const blocking *cut, float *workspace) {
    int total = winograd_tiles(b.pass), channels = b.pass->to.channels;
#pragma omp parallel firstprivate(b)
    {
        b.v = workspace + (size_t)omp_get_thread_num() * (cut->v_floats + cut->m_floats);
        float *m = b.v + cut->v_floats;
#pragma omp for schedule(static)
        for (int first = 0; first < total; first += cut->tiles) {
            b.first = first;
            b.tiles = at_most(cut->tiles, total - first);
            for (int tile = 0; tile < b.tiles; tile++)
                make_input(&b, tile);
            for (int channel = 0; channel < channels; channel += WINOGRAD_GROUP)
                make_unit(&b, 0, b.tiles, channel, m);
        }
    }
}

static void run_shared(block b, const blocking *cut, float *workspace) {
    int total = winograd_tiles(b.pass);
    int groups = divided(b.pass->to.channels, WINOGRAD_GROUP);
    b.v = workspace;
#pragma omp parallel firstprivate(b)
    {
        float *m = workspace + cut->v_floats + (size_t)omp_get_thread_num() * cut->m_floats;
        for (b.first = 0; b.first < total; b.first += cut->tiles) {
            b.tiles = at_most(cut->tiles, total - b.first);
            int parts = divided(b.tiles, cut->unit_tiles);
#pragma omp for schedule(static)
            for (int tile = 0; tile < b.tiles; tile++)
                make_input(&b, tile);
#pragma omp for schedule(static)
            for (int unit = 0; unit < groups * parts; unit++) {
                int first = unit % parts * cut->unit_tiles;
                make_unit(&b, first, at_most(cut->unit_tiles, b.tiles - first),
                          unit / parts * WINOGRAD_GROUP, m);
            }
        }
    }
}

void cpu_winograd_run(const winograd *self, const winograd_pass *pass, const void *from,
                      const float *packed, const float *bias, void *to, float *workspace) {
    blocking cut = blocking_of(pass, self->threads);
    block b = {.pass = pass,
               .from = from,
               .packed = packed,
               .bias = bias,
               .to = to,
               .element = v_element(pass, cut.tiles)};
    if (cut.shared)
        run_shared(b, &cut, workspace);
    else
        run_own(b, &cut, workspace);
}

static size_t pass_floats(const winograd_pass *pass, int threads) {
    blocking cut = blocking_of(pass, threads);
    size_t each = cut.m_floats + (cut.shared ? 0 : cut.v_floats);
    return (cut.shared ? cut.v_floats : 0) + (size_t)threads * each;
}

size_t cpu_winograd_workspace_bytes(const winograd *self) {
    size_t most = cpu_winograd_weights_floats(self);
    size_t forward = pass_floats(&self->forward, self->threads);
    size_t backward = self->backward.kernels ? pass_floats(&self->backward, self->threads) : 0;
    most = forward > most ? forward : most;
    most = backward > most ? backward : most;
    return most * sizeof(float);
}

/* ---- which shapes */

/* Both activations in vectors of neighbouring channels. */
static bool image_of(tensor_layout layout, int height, int width, int channels, int vector,
                     winograd_image *out) {
    int plane = layout_plane_channels(layout), lanes = plane ? plane : channels;
    *out = (winograd_image){.height = height,
                            .width = width,
                            .channels = channels,
                            .lanes = lanes,
                            .row = (size_t)width * (size_t)lanes,
                            .column = (size_t)lanes,
                            .plane = (size_t)height * (size_t)width * (size_t)lanes};
    return layout != LAYOUT_NCHW && channels % lanes == 0 && lanes % vector == 0;
}

static int tiles_along(int length, int size) {
    return (length + size - 1) / size;
}

/* Of the two, the one with fewer products: larger tiles, but for images that they cover badly. */
static int size_of(int height, int width) {
    int large = tiles_along(height, 4) * tiles_along(width, 4) * 36;
    int small = tiles_along(height, 2) * tiles_along(width, 2) * 16;
    return small <= large ? 2 : 4;
}

static size_t sample_bytes(const winograd_image *image, const winograd_kernels *kernels) {
    return (size_t)image->height * (size_t)image->width * (size_t)image->channels *
           kernels->value_bytes;
}

static winograd_pass pass_of(const conv2d_shape *shape, const winograd_kernels *kernels,
                             const winograd_image *from, const winograd_image *to, int padding) {
    return (winograd_pass){.kernels = kernels,
                           .from = *from,
                           .to = *to,
                           .from_sample = sample_bytes(from, kernels),
                           .to_sample = sample_bytes(to, kernels),
                           .n = shape->n,
                           .padding = padding,
                           .down = tiles_along(to->height, kernels->size),
                           .across = tiles_along(to->width, kernels->size)};
}

bool cpu_winograd_choose(const conv2d_shape *shape, int threads, winograd *out) {
    int height = shape->height + 2 * shape->padding - 2;
    int width = shape->width + 2 * shape->padding - 2;
    bool bf16 = shape->type == DTYPE_BF16;
    /* Direct products of bf16 have twice fp32's rate, which Winograd's fewer ones make up for;
     * those of whole tiles (AMX) have many times it. */
    if ((bf16 && onednn_has_tiles()) || (!bf16 && shape->type != DTYPE_F32) || shape->kernel != 3 ||
        shape->stride != 1 || shape->padding > 2 || height < 1 || width < 1)
        return false;
    const winograd_kernels *kernels = winograd_kernels_choose(bf16, size_of(height, width));
    winograd_image x, y;
    if (!image_of(shape->in_layout, shape->height, shape->width, shape->in_channels, kernels->width,
                  &x) ||
        !image_of(shape->out_layout, height, width, shape->out_channels, kernels->width, &y))
        return false;
    *out = (winograd){.threads = threads};
    out->forward = pass_of(shape, kernels, &x, &y, shape->padding);
    out->forward.relu = shape->activation == ACTIVATION_RELU;
    if (shape->need_dx)
        out->backward =
            pass_of(shape, winograd_kernels_choose(bf16, size_of(shape->height, shape->width)), &y,
                    &x, 2 - shape->padding);
    return true;
}
