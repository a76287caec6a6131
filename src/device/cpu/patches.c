/* Patches of an image: values moved, whichever way its channels lie. */
#include "device/kinds/patches.h"
#include "device/cpu/cpu.h"

#include <string.h>

typedef struct patches_plan {
    plan base;
    patches_shape shape;
} patches_plan;

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const patches_shape *shape = wanted;
    LS_TRY(cpu_check_type("patches", shape->type, error));
    ((patches_plan *)base)->shape = *shape;
    text_add(&base->description, "loop");
    return LS_OK;
}

/* How far apart neighbouring pixels lie, and how far behind a pixel's first channel its others. */
static size_t pixel_step(const patches_shape *s) {
    int planes = layout_plane_channels(s->in_layout);
    return s->in_layout == LAYOUT_NHWC ? (size_t)s->channels : planes ? (size_t)planes : 1;
}

static size_t channel_offset(const patches_shape *s, size_t channel) {
    size_t pixels = (size_t)s->height * (size_t)s->width, step = pixel_step(s);
    if (s->in_layout == LAYOUT_NHWC)
        return channel;
    return channel / step * pixels * step + channel % step;
}

/* A row of a patch: `count` pixels from image (or to it, where `back`) at the first one's place,
 * whose channels lie one behind the other in the patch. Inlined with a constant size. */
static inline __attribute__((always_inline)) void
move_pixels(const patches_shape *s, bool back, size_t bytes, char *image, char *patch) {
    size_t step = pixel_step(s) * bytes, channels = (size_t)s->channels;
    for (size_t channel = 0; channel < channels; channel++) {
        char *from = image + channel_offset(s, channel) * bytes, *to = patch + channel * bytes;
        for (int pixel = 0; pixel < s->side; pixel++, from += step, to += channels * bytes)
            memcpy(back ? from : to, back ? to : from, bytes);
    }
}

static void move_row(const patches_shape *s, bool back, char *image, char *patch) {
    size_t bytes = dtype_bytes(s->type), run = (size_t)s->side * (size_t)s->channels * bytes;
    if (s->in_layout == LAYOUT_NHWC)
        memcpy(back ? image : patch, back ? patch : image, run);
    else if (bytes == sizeof(float))
        move_pixels(s, back, sizeof(float), image, patch);
    else
        move_pixels(s, back, sizeof(uint16_t), image, patch);
}

static void move_all(const patches_shape *s, bool back, char *images, char *patches) {
    size_t bytes = dtype_bytes(s->type), width = (size_t)s->width, side = (size_t)s->side;
    size_t across = width / side, count = patches_count(s);
    size_t sample = (size_t)s->height * width * (size_t)s->channels * bytes;
    size_t run = side * (size_t)s->channels * bytes;
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < (size_t)s->n * count; i++) {
        size_t at = i % count, pixel = at / across * side * width + at % across * side;
        char *image = images + i / count * sample + pixel * pixel_step(s) * bytes;
        for (size_t row = 0; row < side; row++)
            move_row(s, back, image + row * width * pixel_step(s) * bytes,
                     patches + (i * side + row) * run);
    }
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    move_all(&((patches_plan *)base)->shape, false, (char *)a->x[0], a->y);
    return LS_OK;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    move_all(&((patches_plan *)base)->shape, true, a->dx[0], (char *)a->dy);
    return LS_OK;
}

const op cpu_patches = {
    .kind = &op_patches,
    .plan_bytes = sizeof(patches_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
