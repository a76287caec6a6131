/* The batch maker: gather by index, normalise, lay out. */
#include "device/cpu/cpu.h"

CPU_VECTORISED static void to_channels_last(const uint8_t *restrict from, float *restrict to,
                                            size_t count, float scale, float shift) {
    for (size_t i = 0; i < count; i++)
        to[i] = (float)from[i] * scale + shift;
}

CPU_VECTORISED static void to_planes3(const uint8_t *restrict from, float *restrict to,
                                      size_t plane, float scale, float shift) {
    for (size_t i = 0; i < plane; i++) {
        to[i] = (float)from[3 * i] * scale + shift;
        to[plane + i] = (float)from[3 * i + 1] * scale + shift;
        to[2 * plane + i] = (float)from[3 * i + 2] * scale + shift;
    }
}

/* Planes of `group` channels: NCHW (1) and NCHW16C (16). */
static void to_planes(const uint8_t *from, float *to, size_t plane, int channels, int group,
                      float scale, float shift) {
    for (int first = 0; first < channels; first += group)
        for (size_t i = 0; i < plane; i++)
            for (int c = 0; c < group; c++)
                *to++ = (float)from[i * (size_t)channels + (size_t)(first + c)] * scale + shift;
}

static void one_image(const batch_arguments *a, const uint8_t *from, float *to) {
    size_t plane = (size_t)a->height * (size_t)a->width;
    if (a->layout == LAYOUT_NHWC)
        to_channels_last(from, to, plane * (size_t)a->channels, a->scale, a->shift);
    else if (a->layout == LAYOUT_NCHW && a->channels == 3)
        to_planes3(from, to, plane, a->scale, a->shift);
    else
        to_planes(from, to, plane, a->channels, a->layout == LAYOUT_NCHW ? 1 : 16, a->scale,
                  a->shift);
}

int cpu_make_batch(device *self, device_stream *stream, const batch_arguments *arguments,
                   ls_error *error) {
    (void)self, (void)stream;
    if (arguments->type != DTYPE_F32)
        return ls_fail(error, LS_FAILED, "cpu make_batch: %s is not supported",
                       dtype_name(arguments->type));
    if (arguments->layout == LAYOUT_NCHW16C && arguments->channels % 16 != 0)
        return ls_fail(error, LS_FAILED, "cpu make_batch: %d channels do not fill NCHW16C",
                       arguments->channels);
    size_t image =
        (size_t)arguments->height * (size_t)arguments->width * (size_t)arguments->channels;
#pragma omp parallel for schedule(static)
    for (int index = 0; index < arguments->count; index++) {
        int64_t source = arguments->indices ? arguments->indices[index] : index;
        arguments->out_labels[index] = arguments->labels[source];
        one_image(arguments, arguments->images + (size_t)source * image,
                  (float *)arguments->out + (size_t)index * image);
    }
    return LS_OK;
}
