#include "data/resize.h"

#include <math.h>
#include <stdlib.h>

enum { CHANNELS = 3, ONE = 1 << 14 };

/* For each output position, which source positions count and how much; weights sum to ONE. */
typedef struct taps {
    int most;     /* per output */
    int *first;   /* [size] */
    int *count;   /* [size] */
    int *weights; /* [size, most] */
} taps;

static void taps_release(taps *self) {
    free(self->first);
    free(self->count);
    free(self->weights);
}

/* Rounds the weights so that they sum to ONE exactly: a flat image stays flat. */
static void normalise(const double *raw, int count, int *out) {
    double sum = 0;
    int total = 0, largest = 0;
    for (int index = 0; index < count; index++)
        sum += raw[index];
    for (int index = 0; index < count; index++) {
        out[index] = (int)lround(raw[index] / sum * ONE);
        total += out[index];
        if (raw[index] > raw[largest])
            largest = index;
    }
    out[largest] += ONE - total;
}

/* Output `index` has its centre at (index + 0.5) * scale + origin in the source; the triangle
 * reaches `support` to both sides and is cut at the source's edges. */
static int taps_make(taps *self, int length, double origin, double extent, int size) {
    double scale = extent / size, support = scale > 1 ? scale : 1;
    self->most = (int)ceil(support) * 2 + 2;
    self->first = calloc((size_t)size, sizeof *self->first);
    self->count = calloc((size_t)size, sizeof *self->count);
    self->weights = calloc((size_t)size * (size_t)self->most, sizeof *self->weights);
    double *raw = calloc((size_t)self->most, sizeof *raw);
    int complete = self->first && self->count && self->weights && raw;
    for (int index = 0; complete && index < size; index++) {
        double centre = (index + 0.5) * scale + origin;
        int low = (int)floor(centre - support), high = (int)ceil(centre + support);
        low = low < 0 ? 0 : low;
        high = high > length ? length : high;
        for (int source = low; source < high; source++) {
            double distance = fabs(source + 0.5 - centre) / support;
            raw[source - low] = distance < 1 ? 1 - distance : 0;
        }
        self->first[index] = low;
        self->count[index] = high - low;
        normalise(raw, high - low, self->weights + (size_t)index * (size_t)self->most);
    }
    free(raw);
    return complete ? 0 : -1;
}

static uint8_t weighted(const uint8_t *from, size_t step, const int *weights, int count) {
    int sum = ONE / 2;
    for (int index = 0; index < count; index++)
        sum += weights[index] * from[(size_t)index * step];
    return (uint8_t)(sum / ONE);
}

/* Columns first: [height, width] -> [height, to_width]; then rows: -> [to_height, to_width]. */
static void apply(const taps *columns, const taps *rows, const uint8_t *pixels, int height,
                  int width, int to_height, int to_width, uint8_t *narrow, uint8_t *out) {
    size_t row = (size_t)to_width * CHANNELS;
    for (int y = 0; y < height; y++)
        for (int x = 0; x < to_width; x++)
            for (int channel = 0; channel < CHANNELS; channel++)
                narrow[(size_t)y * row + (size_t)x * CHANNELS + (size_t)channel] = weighted(
                    pixels + ((size_t)y * (size_t)width + (size_t)columns->first[x]) * CHANNELS +
                        channel,
                    CHANNELS, columns->weights + (size_t)x * (size_t)columns->most,
                    columns->count[x]);
    for (int y = 0; y < to_height; y++)
        for (size_t at = 0; at < row; at++)
            out[(size_t)y * row + at] =
                weighted(narrow + (size_t)rows->first[y] * row + at, row,
                         rows->weights + (size_t)y * (size_t)rows->most, rows->count[y]);
}

/* The middle [extent_y, extent_x] of an image. */
static int resize_middle(const uint8_t *pixels, int height, int width, double extent_y,
                         double extent_x, int to_height, int to_width, uint8_t *out,
                         ls_error *error) {
    taps columns = {0}, rows = {0};
    uint8_t *narrow = malloc((size_t)height * (size_t)to_width * CHANNELS);
    int complete = narrow &&
                   taps_make(&columns, width, (width - extent_x) / 2, extent_x, to_width) == 0 &&
                   taps_make(&rows, height, (height - extent_y) / 2, extent_y, to_height) == 0;
    if (complete)
        apply(&columns, &rows, pixels, height, width, to_height, to_width, narrow, out);
    taps_release(&columns);
    taps_release(&rows);
    free(narrow);
    return complete ? LS_OK : ls_fail(error, LS_FAILED, "out of memory to resize an image");
}

int resize_square(const uint8_t *pixels, int height, int width, int size, uint8_t *out,
                  ls_error *error) {
    double side = height < width ? height : width;
    return resize_middle(pixels, height, width, side, side, size, size, out, error);
}

int resize_whole(const uint8_t *pixels, int height, int width, int to_height, int to_width,
                 uint8_t *out, ls_error *error) {
    return resize_middle(pixels, height, width, height, width, to_height, to_width, out, error);
}
