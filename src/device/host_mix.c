/* Mixing on the devices of the host (device/mixing.h). */
#include "base/float16.h"
#include "base/random.h"
#include "device/host.h"

#include <math.h>
#include <string.h>

/* In (0, 1). */
static double unit(uint32_t bits) {
    return ((double)bits + 0.5) * 0x1p-32;
}

/* The next block of a step's draws. */
typedef struct draws {
    const mixing *of;
    int64_t step;
    uint64_t next;
    uint32_t block[4];
} draws;

static const uint32_t *draw(draws *self) {
    random_block(self->of->seed, RANDOM_MIXING, (uint64_t)self->step, self->next++, self->block);
    return self->block;
}

/* Of at least 1: Marsaglia and Tsang, "A Simple Method for Generating Gamma Variables", 2000. */
static double gamma_of(draws *self, double alpha) {
    double d = alpha - 1.0 / 3, c = 1 / sqrt(9 * d);
    for (;;) {
        const uint32_t *b = draw(self);
        double x = sqrt(-2 * log(unit(b[0]))) * cos(2 * acos(-1) * unit(b[1]));
        double v = (1 + c * x) * (1 + c * x) * (1 + c * x);
        if (v > 0 && log(unit(b[2])) < x * x / 2 + d - d * v + d * log(v))
            return d * v;
    }
}

/* Beta(alpha, alpha). Below 1: Joehnk, 1964, by logarithms, for small alphas' powers are no
 * numbers. */
static double beta_of(draws *self, double alpha) {
    if (alpha > 1) {
        double x = gamma_of(self, alpha), y = gamma_of(self, alpha);
        return x / (x + y);
    }
    for (;;) {
        const uint32_t *b = draw(self);
        double x = log(unit(b[0])) / alpha, y = log(unit(b[1])) / alpha;
        if (exp(x) + exp(y) <= 1)
            return 1 / (1 + exp(y - x));
    }
}

static int clipped(int at, int most) {
    return at < 0 ? 0 : at > most ? most : at;
}

mixing_draw mixing_draw_of(const mixing *self, int64_t step, int height, int width) {
    draws from = {.of = self, .step = step};
    const uint32_t *b = draw(&from);
    int row = (int)(unit(b[1]) * height), column = (int)(unit(b[2]) * width);
    mixing_draw out = {.cut = self->cutmix > 0 && (self->mixup == 0 || b[0] < 0x80000000u)};
    out.weight = beta_of(&from, out.cut ? self->cutmix : self->mixup);
    if (!out.cut)
        return out;
    double ratio = sqrt(1 - out.weight);
    int box_height = (int)(height * ratio), box_width = (int)(width * ratio);
    out.top = clipped(row - box_height / 2, height);
    out.bottom = clipped(row + (box_height + 1) / 2, height);
    out.left = clipped(column - box_width / 2, width);
    out.right = clipped(column + (box_width + 1) / 2, width);
    out.weight = 1 - (double)(out.bottom - out.top) * (out.right - out.left) / height / width;
    return out;
}

/* A sample seen as planes of pixels, each of so many elements. */
typedef struct planes {
    size_t count, elements;
} planes;

static planes planes_of(const mix_arguments *a) {
    size_t lanes = (size_t)layout_plane_channels(a->layout), channels = (size_t)a->channels;
    if (a->layout == LAYOUT_NHWC || a->layout == LAYOUT_NHWC_PADDED)
        return (planes){1, (size_t)layout_channels(a->layout, a->channels)};
    return lanes ? (planes){(channels + lanes - 1) / lanes, lanes} : (planes){channels, 1};
}

static size_t sample_elements(const mix_arguments *a) {
    return mixing_sample_elements(a->layout, a->height, a->width, a->channels);
}

static double load(dtype type, const void *array, size_t i) {
    return (double)(type == DTYPE_BF16  ? bf16_to_float(((const uint16_t *)array)[i])
                    : type == DTYPE_F16 ? fp16_to_float(((const uint16_t *)array)[i])
                                        : ((const float *)array)[i]);
}

static void store(dtype type, void *array, size_t i, double value) {
    if (type == DTYPE_F32)
        ((float *)array)[i] = (float)value;
    else if (type == DTYPE_BF16)
        ((uint16_t *)array)[i] = bf16_of_float(float_odd_of_double(value));
    else
        ((uint16_t *)array)[i] = fp16_of_float(float_odd_of_double(value));
}

/* weight * own + (1 - weight) * other, of elements in double, rounded once. */
static double mixed(double weight, double own, double other) {
    return weight * own + (1 - weight) * other;
}

/* `a` and `b` mixed with each other; b alone is read where it is not to be `changed`. */
static void blend(const mix_arguments *arguments, double weight, void *a, void *b, bool changed) {
    dtype type = arguments->type;
    for (size_t i = 0, count = sample_elements(arguments); i < count; i++) {
        double x = load(type, a, i), y = load(type, b, i);
        store(type, a, i, mixed(weight, x, y));
        if (changed)
            store(type, b, i, mixed(weight, y, x));
    }
}

static void exchange(char *a, char *b, size_t bytes, bool changed) {
    for (size_t i = 0; changed && i < bytes; i++) {
        char kept = a[i];
        a[i] = b[i];
        b[i] = kept;
    }
    if (!changed)
        memcpy(a, b, bytes);
}

/* The box of `a` from `b`, and the other way round where b is to be `changed`. */
static void cut(const mix_arguments *arguments, const mixing_draw *box, char *a, char *b,
                bool changed) {
    planes p = planes_of(arguments);
    size_t pixel = p.elements * dtype_bytes(arguments->type), width = (size_t)arguments->width;
    for (size_t plane = 0; plane < p.count; plane++)
        for (size_t row = (size_t)box->top; row < (size_t)box->bottom; row++) {
            size_t at = (plane * (size_t)arguments->height + row) * width + (size_t)box->left;
            exchange(a + at * pixel, b + at * pixel, (size_t)(box->right - box->left) * pixel,
                     changed);
        }
}

static void mix_two(const mix_arguments *arguments, const mixing_draw *drawn, void *a, void *b,
                    bool changed) {
    if (drawn->cut)
        cut(arguments, drawn, a, b, changed);
    else
        blend(arguments, drawn->weight, a, b, changed);
}

int host_mix(device *self, device_stream *stream, const mix_arguments *a, ls_error *error) {
    (void)self, (void)stream, (void)error;
    mixing_draw drawn = mixing_draw_of(&a->how, step_state_number(a->state), a->height, a->width);
    size_t bytes = sample_elements(a) * dtype_bytes(a->type);
    char *images = a->images;
    for (int i = 0; i < a->count; i++) {
        bool second = (a->first + i) % 2 != 0;
        bool alone = !second && a->first + i + 1 == a->global_count;
        int other = second ? i - 1 : i + 1;
        a->weights[i] = alone ? 1 : (float)drawn.weight;
        a->other_labels[i] = alone              ? a->labels[i]
                             : other < 0        ? a->before_label
                             : other < a->count ? a->labels[other]
                                                : a->after_label;
        if (!alone && (other < 0 || other >= a->count))
            mix_two(a, &drawn, images + (size_t)i * bytes,
                    (void *)(other < 0 ? a->before : a->after), false);
        else if (!alone && !second)
            mix_two(a, &drawn, images + (size_t)i * bytes, images + (size_t)other * bytes, true);
    }
    return LS_OK;
}
