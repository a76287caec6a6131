/* The batch maker: gather by index, crop and flip, normalise, convert, lay out. Pixels are bytes,
 * so a table says what each becomes: the same bits wherever a pixel lies, and ref's. */
#include "base/float16.h"
#include "device/cpu/cpu.h"
#include "device/window.h"

typedef union byte_values {
    float fp32[256];
    uint16_t bf16[256];
} byte_values;

static void fill_values(const batch_arguments *a, int channel, byte_values *out) {
    for (int byte = 0; byte < 256; byte++) {
        double value = byte * batch_scale(a, channel) + batch_shift(a, channel);
        if (a->type == DTYPE_BF16)
            out->bf16[byte] = bf16_of_float(float_odd_of_double(value));
        else
            out->fp32[byte] = (float)value;
    }
}

/* Channels last, as they come. */
static void to_channels_last(const byte_values *values, bool bf16, const uint8_t *from, void *to,
                             size_t count) {
    if (bf16)
        for (size_t i = 0; i < count; i++)
            ((uint16_t *)to)[i] = values->bf16[from[i]];
    else
        for (size_t i = 0; i < count; i++)
            ((float *)to)[i] = values->fp32[from[i]];
}

/* The same of three channels, with a table each. */
static void to_three_last(const byte_values *values, bool bf16, const uint8_t *from, void *to,
                          size_t count) {
    if (bf16)
        for (size_t i = 0; i < count; i += 3)
            for (size_t c = 0; c < 3; c++)
                ((uint16_t *)to)[i + c] = values[c].bf16[from[i + c]];
    else
        for (size_t i = 0; i < count; i += 3)
            for (size_t c = 0; c < 3; c++)
                ((float *)to)[i + c] = values[c].fp32[from[i + c]];
}

/* Planes of fp32 of three channels. */
static void to_planes3(const byte_values *values, bool by_channel, const uint8_t *from, float *to,
                       size_t plane) {
    for (size_t i = 0; i < plane; i++)
        for (size_t c = 0; c < 3; c++)
            to[c * plane + i] = values[by_channel ? c : 0].fp32[from[3 * i + c]];
}

/* Any layout, seen as planes of `group` channels, and any window. */
static void windowed(const batch_arguments *a, const byte_values *values, const uint8_t *image,
                     crop_window from, size_t at) {
    int lanes = layout_plane_channels(a->layout);
    int group = a->layout == LAYOUT_NHWC ? a->channels : lanes ? lanes : 1;
    for (int first = 0; first < a->channels; first += group)
        for (int h = 0; h < a->height; h++)
            for (int w = 0; w < a->width; w++)
                for (int c = 0; c < group; c++, at++) {
                    uint8_t byte = window_pixel(a, image, from, h, w, first + c);
                    const byte_values *of = &values[a->by_channel ? first + c : 0];
                    if (a->type == DTYPE_BF16)
                        ((uint16_t *)a->out)[at] = of->bf16[byte];
                    else
                        ((float *)a->out)[at] = of->fp32[byte];
                }
}

static void one_image(const batch_arguments *a, const byte_values *values, int k) {
    size_t plane = (size_t)a->height * (size_t)a->width, size = plane * (size_t)a->channels;
    const uint8_t *image = a->images + (size_t)batch_source(a, k) * size;
    size_t at = (size_t)k * size;
    bool whole = !augments(&a->augment), bf16 = a->type == DTYPE_BF16;
    if (whole && a->layout == LAYOUT_NHWC && a->by_channel)
        to_three_last(values, bf16, image, (char *)a->out + at * dtype_bytes(a->type), size);
    else if (whole && a->layout == LAYOUT_NHWC)
        to_channels_last(values, bf16, image, (char *)a->out + at * dtype_bytes(a->type), size);
    else if (whole && a->layout == LAYOUT_NCHW && a->channels == 3 && !bf16)
        to_planes3(values, a->by_channel, image, (float *)a->out + at, plane);
    else
        windowed(a, values, image,
                 draw_window(&a->augment, a->state ? a->state->epoch : 0, batch_id(a, k)), at);
}

int cpu_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                   ls_error *error) {
    (void)self, (void)stream;
    LS_TRY(cpu_check_type("make_batch", arguments->type, error));
    int lanes = layout_plane_channels(arguments->layout);
    if (lanes && arguments->channels % lanes != 0)
        return ls_fail(error, LS_FAILED, "cpu make_batch: %d channels do not fill planes of %d",
                       arguments->channels, lanes);
    byte_values values[3]; /* a channel each, or the first for all */
    for (int channel = 0; channel < (arguments->by_channel ? 3 : 1); channel++)
        fill_values(arguments, channel, &values[channel]);
#pragma omp parallel for schedule(static)
    for (int k = 0; k < arguments->count; k++) {
        arguments->out_labels[k] = arguments->labels[batch_source(arguments, k)];
        one_image(arguments, values, k);
    }
    return LS_OK;
}
