/* The batch maker: gather by index, crop and flip, normalise, convert, lay out. */
#include "base/float16.h"
#include "device/cpu/cpu.h"
#include "device/window.h"

/* What each of the 256 values of a byte becomes, by the same loop as a whole image. */
typedef union byte_values {
    float fp32[256];
    uint16_t bf16[256];
} byte_values;

CPU_VECTORISED static void to_channels_last(const uint8_t *restrict from, float *restrict to,
                                            size_t count, float scale, float shift) {
    for (size_t i = 0; i < count; i++)
        to[i] = (float)from[i] * scale + shift;
}

CPU_VECTORISED static void to_channels_last_bf16(const uint8_t *restrict from,
                                                 uint16_t *restrict to, size_t count, float scale,
                                                 float shift) {
    for (size_t i = 0; i < count; i++)
        to[i] = bf16_of_float((float)from[i] * scale + shift);
}

CPU_VECTORISED static void to_planes3(const uint8_t *restrict from, float *restrict to,
                                      size_t plane, float scale, float shift) {
    for (size_t i = 0; i < plane; i++) {
        to[i] = (float)from[3 * i] * scale + shift;
        to[plane + i] = (float)from[3 * i + 1] * scale + shift;
        to[2 * plane + i] = (float)from[3 * i + 2] * scale + shift;
    }
}

CPU_VECTORISED static void to_planes3_bf16(const uint8_t *restrict from, uint16_t *restrict to,
                                           size_t plane, float scale, float shift) {
    for (size_t i = 0; i < plane; i++) {
        to[i] = bf16_of_float((float)from[3 * i] * scale + shift);
        to[plane + i] = bf16_of_float((float)from[3 * i + 1] * scale + shift);
        to[2 * plane + i] = bf16_of_float((float)from[3 * i + 2] * scale + shift);
    }
}

static void fill_values(const batch_arguments *a, byte_values *out) {
    uint8_t bytes[256];
    for (int value = 0; value < 256; value++)
        bytes[value] = (uint8_t)value;
    if (a->type == DTYPE_BF16)
        to_channels_last_bf16(bytes, out->bf16, 256, a->scale, a->shift);
    else
        to_channels_last(bytes, out->fp32, 256, a->scale, a->shift);
}

/* Any layout, seen as planes of `group` channels, and any window, by the table. */
static void by_table(const batch_arguments *a, const uint8_t *image, crop_window from,
                     const byte_values *values, size_t at) {
    int group = a->layout == LAYOUT_NHWC ? a->channels : a->layout == LAYOUT_NCHW ? 1 : 16;
    for (int first = 0; first < a->channels; first += group)
        for (int h = 0; h < a->height; h++)
            for (int w = 0; w < a->width; w++)
                for (int c = 0; c < group; c++, at++) {
                    uint8_t value = window_pixel(a, image, from, h, w, first + c);
                    if (a->type == DTYPE_BF16)
                        ((uint16_t *)a->out)[at] = values->bf16[value];
                    else
                        ((float *)a->out)[at] = values->fp32[value];
                }
}

static void whole_image(const batch_arguments *a, const uint8_t *image, size_t at) {
    size_t plane = (size_t)a->height * (size_t)a->width;
    float *fp32 = (float *)a->out + at;
    uint16_t *bf16 = (uint16_t *)a->out + at;
    bool is_bf16 = a->type == DTYPE_BF16;
    if (a->layout == LAYOUT_NHWC && is_bf16)
        to_channels_last_bf16(image, bf16, plane * (size_t)a->channels, a->scale, a->shift);
    else if (a->layout == LAYOUT_NHWC)
        to_channels_last(image, fp32, plane * (size_t)a->channels, a->scale, a->shift);
    else if (is_bf16)
        to_planes3_bf16(image, bf16, plane, a->scale, a->shift);
    else
        to_planes3(image, fp32, plane, a->scale, a->shift);
}

int cpu_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                   ls_error *error) {
    (void)self, (void)stream;
    const batch_arguments *a = arguments;
    LS_TRY(cpu_check_type("make_batch", a->type, error));
    if (a->layout == LAYOUT_NCHW16C && a->channels % 16 != 0)
        return ls_fail(error, LS_FAILED, "cpu make_batch: %d channels do not fill NCHW16C",
                       a->channels);
    size_t image = (size_t)a->height * (size_t)a->width * (size_t)a->channels;
    bool whole = !augments(&a->augment) &&
                 (a->layout == LAYOUT_NHWC || (a->layout == LAYOUT_NCHW && a->channels == 3));
    byte_values values;
    if (!whole)
        fill_values(a, &values);
#pragma omp parallel for schedule(static)
    for (int k = 0; k < a->count; k++) {
        int64_t source = batch_source(a, k);
        const uint8_t *from = a->images + (size_t)source * image;
        a->out_labels[k] = a->labels[source];
        if (whole)
            whole_image(a, from, (size_t)k * image);
        else
            by_table(a, from,
                     draw_window(&a->augment, a->state ? a->state->epoch : 0, batch_id(a, k)),
                     &values, (size_t)k * image);
    }
    return LS_OK;
}
