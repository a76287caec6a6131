/* Backward of weights by Winograd's algorithm: see winograd.h. V and W of a block of tiles are all
 * threads' in the last-level cache; then the threads share out the elements, and each product adds
 * to its part of the gradient of U: no thread has sums of its own that others would be added to. */
#include "device/cpu/winograd.h"

enum { MOST_TILES = 256 };

/* [element][group of channels][tile][channel of the group] */
typedef struct transformed {
    float *at;
    winograd_place place;
} transformed;

typedef struct weights_pass {
    const winograd_pass *pass;
    const void *x, *dy;
    int most_tiles; /* of a block */
    transformed v, w;
    float *sums;     /* [tile][out]: of dy */
    float *gradient; /* of U: [element][out][in] */
    size_t gradient_element;
    float *dweights, *dbias;
} weights_pass;

static int divided(int value, int by) {
    return (value + by - 1) / by;
}

static int most_tiles_of(const winograd_pass *pass) {
    int total = winograd_tiles(pass);
    return divided(total, divided(total, MOST_TILES));
}

static winograd_place place_of(int tiles, int channels) {
    size_t group = (size_t)tiles * WINOGRAD_GROUP;
    return (winograd_place){(size_t)divided(channels, WINOGRAD_GROUP) * group + WINOGRAD_APART,
                            group};
}

static size_t rounded(size_t floats) {
    return (floats + WINOGRAD_APART - 1) / WINOGRAD_APART * WINOGRAD_APART;
}

/* Cuts the workspace, and says how much of it there must be. */
static size_t lay_out(weights_pass *self, const winograd_pass *pass, float *workspace) {
    size_t in = (size_t)pass->from.channels, out = (size_t)pass->to.channels;
    size_t elements = (size_t)winograd_elements(pass), used = 0;
    self->pass = pass;
    self->most_tiles = most_tiles_of(pass);
    self->v.place = place_of(self->most_tiles, pass->from.channels);
    self->w.place = place_of(self->most_tiles, pass->to.channels);
    self->gradient_element = rounded(in * out) + WINOGRAD_APART;
    struct {
        float **array;
        size_t floats;
    } parts[] = {{&self->v.at, elements * self->v.place.element},
                 {&self->w.at, elements * self->w.place.element},
                 {&self->gradient, elements * self->gradient_element},
                 {&self->sums, rounded((size_t)self->most_tiles * out)}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++) {
        *parts[i].array = workspace ? workspace + used : NULL;
        used += parts[i].floats;
    }
    return used;
}

size_t cpu_winograd_weights_floats(const winograd *self) {
    weights_pass sizes;
    return lay_out(&sizes, &self->forward, NULL);
}

static void transform(const weights_pass *self, int first, int tile) {
    const winograd_pass *pass = self->pass;
    winograd_tile at = winograd_tile_at(pass, first + tile);
    size_t to = (size_t)tile * WINOGRAD_GROUP;
    pass->kernels->input(&pass->from, (const char *)self->x + at.sample * pass->from_sample,
                         at.row - pass->padding, at.column - pass->padding, self->v.at + to,
                         self->v.place);
    pass->kernels->gradient(&pass->to, (const char *)self->dy + at.sample * pass->to_sample, at.row,
                            at.column, self->w.at + to, self->w.place,
                            self->sums + (size_t)tile * (size_t)pass->to.channels);
}

/* One element's sums over a block's tiles, for a group of out from `channel` on and all of in. */
static void add_products(const weights_pass *self, int element, int channel, int tiles, bool adds) {
    const winograd_pass *pass = self->pass;
    int in = pass->from.channels;
    winograd_product product = {.a = self->w.at + (size_t)element * self->w.place.element +
                                     (size_t)(channel / WINOGRAD_GROUP) * self->w.place.group,
                                .a_row = 1,
                                .a_depth = WINOGRAD_GROUP,
                                .b_row = WINOGRAD_GROUP,
                                .b_panel = (size_t)pass->kernels->panel,
                                .c_row = (size_t)in,
                                .rows = winograd_columns(pass->to.channels, channel),
                                .depth = tiles,
                                .adds = adds};
    for (int first = 0; first < in; first += WINOGRAD_GROUP) {
        product.b = self->v.at + (size_t)element * self->v.place.element +
                    (size_t)(first / WINOGRAD_GROUP) * self->v.place.group;
        product.c = self->gradient + (size_t)element * self->gradient_element +
                    (size_t)channel * (size_t)in + first;
        product.columns = winograd_columns(in, first);
        pass->kernels->multiply(&product);
    }
}

/* Of one group of channels; a block's tiles are summed first, then the blocks. */
static void add_bias(const weights_pass *self, int channel, int tiles, bool adds) {
    float total[WINOGRAD_GROUP] = {0};
    int channels = self->pass->to.channels, count = winograd_columns(channels, channel);
    for (int tile = 0; tile < tiles; tile++)
        for (int i = 0; i < count; i++)
            total[i] += self->sums[(size_t)tile * (size_t)channels + (size_t)(channel + i)];
    for (int i = 0; i < count; i++)
        self->dbias[channel + i] = total[i] + (adds ? self->dbias[channel + i] : 0);
}

/* One thread's part of a block. */
static void add_block(const weights_pass *self, int first, int tiles) {
    int groups = divided(self->pass->to.channels, WINOGRAD_GROUP);
    int biases = self->dbias ? groups : 0;
    int units = winograd_elements(self->pass) * groups;
#pragma omp for schedule(static)
    for (int tile = 0; tile < tiles; tile++)
        transform(self, first, tile);
#pragma omp for schedule(static) nowait
    for (int group = 0; group < biases; group++)
        add_bias(self, group * WINOGRAD_GROUP, tiles, first > 0);
#pragma omp for schedule(static)
    for (int unit = 0; unit < units; unit++)
        add_products(self, unit / groups, unit % groups * WINOGRAD_GROUP, tiles, first > 0);
}

void cpu_winograd_backward_weights(const winograd *self, const void *x, const void *dy,
                                   float *dweights, float *dbias, float *workspace) {
    weights_pass w = {.x = x, .dy = dy, .dweights = dweights, .dbias = dbias};
    lay_out(&w, &self->forward, workspace);
    const winograd_pass *pass = &self->forward;
    int total = winograd_tiles(pass), in = pass->from.channels, out = pass->to.channels;
#pragma omp parallel
    {
        for (int first = 0; first < total; first += w.most_tiles)
            add_block(&w, first, total - first < w.most_tiles ? total - first : w.most_tiles);
#pragma omp for schedule(static)
        for (int channel = 0; channel < out; channel++)
            pass->kernels->filter_gradient(w.gradient + (size_t)channel * (size_t)in,
                                           w.gradient_element, in,
                                           dweights + (size_t)channel * 9 * (size_t)in, (size_t)in);
    }
}
