#include "input/crop.h"

#include "base/random.h"
#include "input/hue.h"

#include <math.h>

enum { TRIES = 10, DRAW_FLIP = TRIES, DRAW_JITTER, DRAW_HUE = DRAW_JITTER + 2, DRAWS = 16 };

static const double least_area = 0.08, least_ratio = 3.0 / 4.0, most_ratio = 4.0 / 3.0;

static void numbers(const crop_draw *draw, int which, uint32_t out[4]) {
    random_block(draw->seed, RANDOM_AUGMENTATION, (uint64_t)draw->epoch,
                 (uint64_t)draw->sample * DRAWS + (uint64_t)which, out);
}

static double between(uint32_t bits, double low, double high) {
    return low + (high - low) * (bits * 0x1p-32);
}

/* Uniform in [0, count), but for 2^-32 * count. */
static int below(uint32_t bits, int count) {
    return (int)((uint64_t)bits * (uint64_t)count >> 32);
}

static view box(int left, int top, int width, int height, int size) {
    return (view){
        .columns = {.from = left, .extent = width, .size = size, .count = size},
        .rows = {.from = top, .extent = height, .size = size, .count = size},
    };
}

/* rint: half to even, as Python rounds. */
static view central(int height, int width, int size) {
    double ratio = (double)width / height;
    int w = width, h = height;
    if (ratio < least_ratio)
        h = (int)rint(w / least_ratio);
    else if (ratio > most_ratio)
        w = (int)rint(h * most_ratio);
    return box((width - w) / 2, (height - h) / 2, w, h, size);
}

static view resized(const crop_draw *draw, int height, int width, int size) {
    double area = (double)height * width;
    for (int try = 0; try < TRIES; try++) {
        uint32_t drawn[4];
        numbers(draw, try, drawn);
        double target = area * between(drawn[0], least_area, 1);
        double ratio = exp(between(drawn[1], log(least_ratio), log(most_ratio)));
        double w = rint(sqrt(target * ratio)), h = rint(sqrt(target / ratio));
        if (w >= 1 && w <= width && h >= 1 && h <= height)
            return box(below(drawn[2], width - (int)w + 1), below(drawn[3], height - (int)h + 1),
                       (int)w, (int)h, size);
    }
    return central(height, width, size);
}

view crop_resized(const crop_draw *draw, int height, int width, int size) {
    view made = resized(draw, height, width, size);
    uint32_t drawn[4];
    numbers(draw, DRAW_FLIP, drawn);
    made.mirrored = drawn[0] >> 31;
    return made;
}

view crop_centre(int height, int width, int size) {
    int64_t shorter = height < width ? height : width, side = (int64_t)size * 256 / 224;
    view made = box(0, 0, width, height, 0);
    made.columns.size = (int)(side * width / shorter);
    made.rows.size = (int)(side * height / shorter);
    made.columns.count = made.rows.count = size;
    made.columns.first = (int)rint((made.columns.size - size) / 2.0);
    made.rows.first = (int)rint((made.rows.size - size) / 2.0);
    return made;
}

static uint8_t clipped(float value) {
    return value <= 0 ? 0 : value >= 255 ? 255 : (uint8_t)value;
}

/* Between `from` (factor 0) and `to` (factor 1), and beyond. */
static uint8_t blend(int from, int to, float factor) {
    return clipped((float)from + factor * (float)(to - from));
}

static int grey(const uint8_t *pixel) {
    return (pixel[0] * 19595 + pixel[1] * 38470 + pixel[2] * 7471 + 0x8000) >> 16;
}

static void brighten(float factor, uint8_t *pixels, size_t count) {
    for (size_t at = 0; at < 3 * count; at++)
        pixels[at] = blend(0, pixels[at], factor);
}

static void contrast(float factor, uint8_t *pixels, size_t count) {
    uint64_t sum = 0;
    for (size_t at = 0; at < count; at++)
        sum += (uint64_t)grey(pixels + 3 * at);
    int mean = (int)((double)sum / (double)count + 0.5);
    for (size_t at = 0; at < 3 * count; at++)
        pixels[at] = blend(mean, pixels[at], factor);
}

static void saturate(float factor, uint8_t *pixels, size_t count) {
    for (size_t at = 0; at < 3 * count; at += 3) {
        int level = grey(pixels + at);
        for (size_t channel = 0; channel < 3; channel++)
            pixels[at + channel] = blend(level, pixels[at + channel], factor);
    }
}

/* Before the change of this number, of three: as often as in any order of four. */
static int turn_of(const crop_draw *draw, float hue, double *turn) {
    uint32_t drawn[4];
    numbers(draw, DRAW_HUE, drawn);
    *turn = between(drawn[0], -hue, hue);
    return below(drawn[1], 4);
}

void crop_jitter(const crop_draw *draw, float strength, float hue, uint8_t *pixels, size_t count) {
    void (*changes[])(float, uint8_t *, size_t) = {brighten, contrast, saturate};
    uint32_t factors[4], order[4];
    double turn = 0;
    int turns = hue > 0 ? turn_of(draw, hue, &turn) : -1;
    numbers(draw, DRAW_JITTER, factors);
    numbers(draw, DRAW_JITTER + 1, order);
    for (int left = 3; left > 0; left--) {
        int pick = below(order[left], left);
        double factor = between(factors[left], strength < 1 ? 1 - strength : 0, 1 + strength);
        if (turns == 3 - left)
            hue_turn(turn, pixels, count);
        if (strength > 0)
            changes[pick]((float)factor, pixels, count);
        changes[pick] = changes[left - 1];
    }
    if (turns == 3)
        hue_turn(turn, pixels, count);
}
