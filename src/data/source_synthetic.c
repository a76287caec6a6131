/* Generated images that need local structure to be told apart. A class is a small binary tile,
 * repeated as a texture. An image shows its class's texture in a rectangle of random size and
 * place, at a random phase, in random colours and with random polarity (the texture is as often
 * darker as it is brighter than its ground), over a random colour ramp, under noise. Hence the mean
 * image is the same for every class, and a linear classifier on the pixels learns nothing, while
 * two layers of 3x3 convolutions see the tile wherever it is. Integers only: the same bytes on
 * every machine. */
#include "data/source.h"

#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

enum { TILE = 4, CELLS = TILE * TILE, TILE_DISTANCE = 4, CHANNELS = 3 };

typedef struct source_synthetic {
    source base;
    synthetic_settings settings;
    uint16_t *tiles; /* [classes]: bit y * TILE + x */
} source_synthetic;

/* The numbers of one image, in order. */
typedef struct stream {
    uint64_t seed, high, low;
    uint32_t block[4];
    int used;
} stream;

/* Image streams have a split and an index below 2^41; this one is outside of them. */
static const uint64_t tile_stream = (uint64_t)1 << 48;

static stream stream_of(uint64_t seed, uint64_t high) {
    return (stream){.seed = seed, .high = high, .used = 4};
}

static uint32_t next(stream *self) {
    if (self->used == 4) {
        random_block(self->seed, RANDOM_SYNTHETIC, self->high, self->low++, self->block);
        self->used = 0;
    }
    return self->block[self->used++];
}

/* A whole number from low to high, both included. */
static int between(stream *self, int low, int high) {
    return low + (int)((uint64_t)next(self) * (uint64_t)(high - low + 1) >> 32);
}

static uint16_t shifted(uint16_t tile, int dx, int dy) {
    uint16_t out = 0;
    for (int cell = 0; cell < CELLS; cell++) {
        int x = (cell + dx) % TILE, y = (cell / TILE + dy) % TILE;
        out |= (uint16_t)((tile >> cell & 1) << (y * TILE + x));
    }
    return out;
}

/* Cells in which two textures differ at the phase and polarity where they are most alike. */
static int tile_distance(uint16_t a, uint16_t b) {
    int least = CELLS;
    for (int phase = 0; phase < CELLS; phase++) {
        int ones = __builtin_popcount(a ^ shifted(b, phase % TILE, phase / TILE));
        int distance = ones < CELLS - ones ? ones : CELLS - ones;
        least = distance < least ? distance : least;
    }
    return least;
}

/* As many dark cells as bright ones, and unlike every texture so far. */
static int is_usable(uint16_t tile, const uint16_t *others, int count) {
    if (__builtin_popcount(tile) != CELLS / 2)
        return 0;
    for (int index = 0; index < count; index++)
        if (tile_distance(tile, others[index]) < TILE_DISTANCE)
            return 0;
    return 1;
}

static int draw_tiles(source_synthetic *self, ls_error *error) {
    enum { ATTEMPTS = 1 << 20 };
    stream numbers = stream_of(self->settings.seed, tile_stream);
    int found = 0;
    for (int attempt = 0; attempt < ATTEMPTS && found < self->settings.classes; attempt++) {
        uint16_t tile = (uint16_t)next(&numbers);
        if (is_usable(tile, self->tiles, found))
            self->tiles[found++] = tile;
    }
    if (found < self->settings.classes)
        return ls_fail(error, LS_BAD_INPUT,
                       "--classes: expected at most %d (as many textures differ enough with this "
                       "seed), found %d",
                       found, self->settings.classes);
    return LS_OK;
}

/* Everything about an image that is not noise. */
typedef struct scene {
    uint16_t tile;
    int cell;                     /* pixels a tile cell */
    int dx, dy;                   /* phase, in pixels */
    int left, top, right, bottom; /* of the texture */
    int ground[CHANNELS], slope_x[CHANNELS], slope_y[CHANNELS], contrast[CHANNELS];
    int noise;
} scene;

static void draw_extent(stream *numbers, int size, int *low, int *high) {
    int length = between(numbers, (5 * size + 7) / 8, size);
    *low = between(numbers, 0, size - length);
    *high = *low + length;
}

static scene draw_scene(stream *numbers, uint16_t tile, int size) {
    scene out = {.tile = tile, .cell = size < 64 ? 1 : size / 32};
    out.dx = between(numbers, 0, TILE * out.cell - 1);
    out.dy = between(numbers, 0, TILE * out.cell - 1);
    draw_extent(numbers, size, &out.left, &out.right);
    draw_extent(numbers, size, &out.top, &out.bottom);
    int polarity = between(numbers, 0, 1) ? 1 : -1;
    for (int channel = 0; channel < CHANNELS; channel++) {
        out.ground[channel] = between(numbers, 80, 175);
        out.slope_x[channel] = between(numbers, -40, 40);
        out.slope_y[channel] = between(numbers, -40, 40);
        out.contrast[channel] = polarity * between(numbers, 16, 32);
    }
    out.noise = between(numbers, 32, 48);
    return out;
}

static int is_bright(const scene *self, int x, int y) {
    int cell_x = (x + self->dx) / self->cell % TILE, cell_y = (y + self->dy) / self->cell % TILE;
    return self->tile >> (cell_y * TILE + cell_x) & 1;
}

static uint8_t clamp(int value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
}

static void paint_pixel(const scene *self, stream *numbers, int size, int x, int y, uint8_t *out) {
    int inside = x >= self->left && x < self->right && y >= self->top && y < self->bottom;
    int sign = !inside ? 0 : is_bright(self, x, y) ? 1 : -1;
    for (int channel = 0; channel < CHANNELS; channel++) {
        uint32_t bits = next(numbers);
        /* The difference of two uniform 16-bit numbers: a triangle around zero. */
        int noise = ((int)(bits >> 16) - (int)(bits & 0xFFFF)) * self->noise / 65536;
        int ramp = self->slope_x[channel] * (2 * x - size) / (2 * size) +
                   self->slope_y[channel] * (2 * y - size) / (2 * size);
        out[channel] = clamp(self->ground[channel] + ramp + sign * self->contrast[channel] + noise);
    }
}

static int fill(const source *base, int split, int64_t first, int64_t count, uint8_t *images,
                int32_t *labels, int64_t *warned, ls_error *error) {
    (void)warned;
    const source_synthetic *self = (const source_synthetic *)base;
    int size = self->settings.size;
    (void)error;
    for (int64_t done = 0; done < count; done++) {
        int64_t index = first + done;
        int label = (int)(index % self->settings.classes);
        stream numbers = stream_of(self->settings.seed, (uint64_t)split << 40 | (uint64_t)index);
        scene drawn = draw_scene(&numbers, self->tiles[label], size);
        uint8_t *out = images + done * image_bytes(&base->shape);
        for (int y = 0; y < size; y++)
            for (int x = 0; x < size; x++, out += CHANNELS)
                paint_pixel(&drawn, &numbers, size, x, y, out);
        labels[done] = label;
    }
    return LS_OK;
}

static void release(source *base) {
    free(((source_synthetic *)base)->tiles);
    free(base);
}

static const source_interface synthetic = {.name = "synthetic", .fill = fill, .close = release};

static int name_classes(source *base, int count, ls_error *error) {
    char(*texts)[32] = calloc((size_t)count, sizeof *texts);
    const char **names = calloc((size_t)count, sizeof *names);
    int status = LS_OK;
    if (!texts || !names)
        status = ls_fail(error, LS_FAILED, "synthetic: out of memory for the class names");
    for (int index = 0; status == LS_OK && index < count; index++) {
        snprintf(texts[index], sizeof texts[index], "texture-%d", index);
        names[index] = texts[index];
    }
    if (status == LS_OK)
        status = class_names_set(&base->classes, names, count, "synthetic", error);
    free(names);
    free(texts);
    return status;
}

int source_synthetic_open(const synthetic_settings *settings, source **out, ls_error *error) {
    source_synthetic *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self)
        return ls_fail(error, LS_FAILED, "synthetic: out of memory");
    self->base.is = &synthetic;
    self->base.shape = (image_shape){settings->size, settings->size, CHANNELS};
    self->base.images[SPLIT_TRAIN] = settings->images;
    self->base.images[SPLIT_TEST] = settings->test_images;
    self->settings = *settings;
    self->tiles = calloc((size_t)settings->classes, sizeof *self->tiles);
    int status = self->tiles ? draw_tiles(self, error)
                             : ls_fail(error, LS_FAILED, "synthetic: out of memory");
    if (status == LS_OK)
        status = name_classes(&self->base, settings->classes, error);
    if (status == LS_OK)
        *out = &self->base;
    else
        source_close(&self->base);
    return status;
}
