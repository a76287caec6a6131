#include "input/resample.h"

#include "input/resample_kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { PIXEL = 4, PAIR = 2 };

/* Room for `bytes`, whatever was there before is lost. */
static int make_room(void *pointer, size_t *room, size_t bytes, ls_error *error) {
    void *old, *grown;
    if (bytes <= *room)
        return LS_OK;
    memcpy(&old, pointer, sizeof old);
    free(old);
    grown = aligned_alloc(64, (bytes + 63) & ~(size_t)63);
    memcpy(pointer, &grown, sizeof grown);
    *room = grown ? bytes : 0;
    return grown ? LS_OK : ls_fail(error, LS_FAILED, "out of memory to resample an image");
}

static void taps_release(resample_taps *self) {
    free(self->first);
    free(self->count);
    free(self->weights);
    *self = (resample_taps){0};
}

static int taps_room(resample_taps *self, int outputs, int most, ls_error *error) {
    size_t room = (size_t)outputs * (size_t)most;
    if (room > self->room) {
        taps_release(self);
        self->first = malloc(room * sizeof *self->first);
        self->count = malloc(room * sizeof *self->count);
        self->weights = malloc(room * sizeof *self->weights);
        if (!self->first || !self->count || !self->weights) {
            taps_release(self);
            return ls_fail(error, LS_FAILED, "out of memory to resample an image");
        }
        self->room = room;
    }
    self->outputs = outputs;
    self->most = most;
    return LS_OK;
}

static double triangle(double distance) {
    distance = distance < 0 ? -distance : distance;
    return distance < 1 ? 1 - distance : 0;
}

/* One output's weights, which sum to 1 before they are rounded. */
static void weigh(double first, double centre, double narrowing, int count, double *raw, int *out) {
    double sum = 0;
    for (int tap = 0; tap < count; tap++) {
        raw[tap] = triangle((tap + first - centre + 0.5) * narrowing);
        sum += raw[tap];
    }
    for (int tap = 0; tap < count; tap++)
        out[tap] = (int)(0.5 + (sum != 0 ? raw[tap] / sum : raw[tap]) * (1 << RESAMPLE_BITS));
}

/* As precompute_coeffs and normalize_coeffs_8bpc do it, in their order of operations. */
static int taps_make(resample_taps *self, const resample_axis *axis, ls_error *error) {
    double scale = axis->extent / axis->size, reach = scale < 1 ? 1 : scale;
    int most = (int)ceil(reach) * 2 + 1;
    LS_TRY(taps_room(self, axis->count, (most + PAIR - 1) / PAIR * PAIR, error));
    double *raw = malloc((size_t)most * sizeof *raw);
    if (!raw)
        return ls_fail(error, LS_FAILED, "out of memory to resample an image");
    memset(self->weights, 0, (size_t)axis->count * (size_t)self->most * sizeof *self->weights);
    self->low = axis->length;
    self->high = 0;
    for (int index = 0; index < axis->count; index++) {
        double centre = axis->from + (axis->first + index + 0.5) * scale;
        int first = (int)(centre - reach + 0.5), end = (int)(centre + reach + 0.5);
        first = first < 0 ? 0 : first;
        end = end > axis->length ? axis->length : end;
        self->first[index] = first;
        self->count[index] = end - first;
        weigh(first, centre, 1.0 / reach, end - first, raw, self->weights + index * self->most);
        self->low = first < self->low ? first : self->low;
        self->high = end > self->high ? end : self->high;
    }
    for (int index = 0; index < axis->count; index++)
        self->first[index] -= self->low;
    free(raw);
    return LS_OK;
}

/* Each weight four times, so that it meets a pixel's channels. */
static void spread(const resample_taps *taps, int outputs, int32_t *pairs) {
    for (int index = 0; index < outputs * taps->most; index++)
        for (int channel = 0; channel < PIXEL; channel++)
            pairs[index * PIXEL + channel] = taps->weights[index];
}

static size_t padded(int pixels) {
    size_t steps = ((size_t)pixels * PIXEL + RESAMPLE_STEP - 1) / RESAMPLE_STEP;
    return steps * RESAMPLE_STEP;
}

/* Pillow's rule since version 13. */
static bool takes_rows_first(const resample_axis *columns, const resample_axis *rows) {
    return rows->size < rows->extent &&
           rows->extent - rows->size > 2 * (columns->extent - columns->size);
}

int resample_start(resampler *self, const resample_axis *columns, const resample_axis *rows,
                   ls_error *error) {
    LS_TRY(taps_make(&self->columns, columns, error));
    LS_TRY(taps_make(&self->rows, rows, error));
    size_t pairs = (size_t)columns->count * (size_t)self->columns.most * PIXEL * sizeof(int32_t);
    LS_TRY(make_room(&self->pairs, &self->pairs_room, pairs, error));
    spread(&self->columns, columns->count, self->pairs);
    self->rows_first = !self->columns_first && takes_rows_first(columns, rows);
    self->out_stride = padded(columns->count);
    self->kept_stride =
        self->rows_first ? padded(self->columns.high - self->columns.low + 1) : self->out_stride;
    /* And what is written beyond the last row, where rows come one by one. */
    size_t all = (size_t)(self->rows.high - self->rows.low + RESAMPLE_ROWS) * self->kept_stride;
    LS_TRY(make_room(&self->kept, &self->kept_room, all, error));
    LS_TRY(make_room(&self->between, &self->between_room,
                     RESAMPLE_ROWS * (self->kept_stride + self->out_stride), error));
    self->arrived = 0;
    if (!self->kernels)
        self->kernels = resample_kernels_chosen();
    return LS_OK;
}

static void columns_of(const resampler *self, const uint8_t *source, size_t stride, uint8_t *out) {
    const resample_taps *taps = &self->columns;
    self->kernels->columns(source, stride, taps->outputs, taps->first, taps->count, self->pairs,
                           taps->most, out, self->out_stride);
}

void resample_push(resampler *self, const uint8_t *source, size_t stride, int count) {
    uint8_t *to = self->kept + (size_t)self->arrived * self->kept_stride;
    size_t width = (size_t)(self->columns.high - self->columns.low) * PIXEL;
    self->arrived += count;
    if (self->rows_first) {
        for (int row = 0; row < count; row++, to += self->kept_stride, source += stride)
            memcpy(to, source, width);
        return;
    }
    for (; count >= RESAMPLE_ROWS; count -= RESAMPLE_ROWS) {
        columns_of(self, source, stride, to);
        source += RESAMPLE_ROWS * stride;
        to += RESAMPLE_ROWS * self->kept_stride;
    }
    /* Less than that: each for itself, which writes as many rows as ever. */
    for (; count > 0; count--, source += stride, to += self->kept_stride)
        columns_of(self, source, 0, to);
}

/* Row `y` of the result where columns came first; else what they are made from. */
static void row_of(const resampler *self, int y, uint8_t *out) {
    self->kernels->rows(self->kept + (size_t)self->rows.first[y] * self->kept_stride,
                        self->kept_stride, self->rows.weights + y * self->rows.most,
                        self->rows.count[y], out);
}

/* Pixels of 4 bytes -> of 3. All but the last are written as 4, the next overwrites the fourth. */
static uint8_t *pack(const uint8_t *from, int count, bool mirrored, uint8_t *out) {
    const uint8_t *next = mirrored ? from + (size_t)(count - 1) * PIXEL : from;
    ptrdiff_t step = mirrored ? -PIXEL : PIXEL;
    for (int x = 0; x < count - 1; x++, next += step, out += 3)
        memcpy(out, next, PIXEL);
    memcpy(out, next, 3);
    return out + 3;
}

void resample_finish(resampler *self, bool mirrored, uint8_t *out) {
    uint8_t *between = self->between, *made = between + RESAMPLE_ROWS * self->kept_stride;
    int count = self->columns.outputs, all = self->rows.outputs;
    if (!self->rows_first)
        for (int y = 0; y < all; y++) {
            row_of(self, y, made);
            out = pack(made, count, mirrored, out);
        }
    for (int y = 0; self->rows_first && y < all; y += RESAMPLE_ROWS) {
        int rows = all - y < RESAMPLE_ROWS ? all - y : RESAMPLE_ROWS;
        for (int row = 0; row < rows; row++)
            row_of(self, y + row, between + (size_t)row * self->kept_stride);
        columns_of(self, between, self->kept_stride, made);
        for (int row = 0; row < rows; row++)
            out = pack(made + (size_t)row * self->out_stride, count, mirrored, out);
    }
}

void resample_close(resampler *self) {
    taps_release(&self->columns);
    taps_release(&self->rows);
    free(self->pairs);
    free(self->kept);
    free(self->between);
    *self = (resampler){0};
}
