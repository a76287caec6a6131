/* Where augmentation looks in an image, for the devices whose ops run on the host. The draw is
 * specified in device/ops.h (augmentation). */
#ifndef LOCKSTEP_DEVICE_WINDOW_H
#define LOCKSTEP_DEVICE_WINDOW_H

#include "base/random.h"
#include "device/ops.h"

/* Output pixel (h, w) is the image's pixel (top + h, left + w), or (top + h, left + width - 1 - w)
 * where it is mirrored; black outside the image. */
typedef struct crop_window {
    int top, left;
    bool mirrored;
} crop_window;

static inline bool augments(const augmentation *how) {
    return how->crop_padding != 0 || how->flip;
}

static inline crop_window draw_window(const augmentation *how, int64_t epoch, int64_t id) {
    uint32_t random[4];
    if (!augments(how))
        return (crop_window){0};
    random_block(how->seed, RANDOM_AUGMENTATION, (uint64_t)epoch, (uint64_t)id, random);
    uint32_t positions = 2 * (uint32_t)how->crop_padding + 1;
    return (crop_window){.top = (int)(random[0] % positions) - how->crop_padding,
                         .left = (int)(random[1] % positions) - how->crop_padding,
                         .mirrored = how->flip && random[2] % 2 == 1};
}

/* Channel c of output pixel (h, w) of `image` ([h, w, c] in the arguments' sizes). */
static inline uint8_t window_pixel(const batch_arguments *a, const uint8_t *image, crop_window from,
                                   int h, int w, int c) {
    int row = from.top + h, column = from.left + (from.mirrored ? a->width - 1 - w : w);
    if (row < 0 || row >= a->height || column < 0 || column >= a->width)
        return 0;
    return image[((size_t)row * (size_t)a->width + (size_t)column) * (size_t)a->channels +
                 (size_t)c];
}

/* Image k of the batch: its place in `images`, and its sample id. */
static inline int64_t batch_source(const batch_arguments *a, int k) {
    return a->order ? a->order[(a->state ? a->state->cursor : 0) + k] : k;
}
static inline int64_t batch_id(const batch_arguments *a, int k) {
    return a->order ? batch_source(a, k) : a->ids ? a->ids[k] : 0;
}

/* What channel c of a pixel is scaled by, and what is added. */
static inline double batch_scale(const batch_arguments *a, int c) {
    return (double)(a->by_channel ? a->scales[c] : a->scale);
}
static inline double batch_shift(const batch_arguments *a, int c) {
    return (double)(a->by_channel ? a->shifts[c] : a->shift);
}

#endif
