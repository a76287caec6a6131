/* Which part of an image becomes the network's input, and how its colours change: pure functions of
 * (seed, epoch, sample), the same on any rank, thread and device. As torchvision's
 * RandomResizedCrop, RandomHorizontalFlip, ColorJitter, Resize and CenterCrop draw and round, with
 * their default ranges, but by our generator (base/random.h: purpose RANDOM_AUGMENTATION, block
 * (epoch, 16 * sample + draw)). */
#ifndef LOCKSTEP_INPUT_CROP_H
#define LOCKSTEP_INPUT_CROP_H

#include "input/picture.h"

/* Whose numbers are drawn. */
typedef struct crop_draw {
    uint64_t seed;
    int epoch;
    int64_t sample;
} crop_draw;

/* Up to ten tries of an area of 8 to 100% of the image and a ratio of sides of 3/4 to 4/3 (uniform
 * in its logarithm), at a uniform place; else the largest box in the middle whose ratio is within
 * these bounds. It becomes size x size, mirrored with probability 1/2. */
view crop_resized(const crop_draw *draw, int height, int width, int size);

/* The shorter side becomes size * 256 / 224, the middle size x size of that is taken. */
view crop_centre(int height, int width, int size);

/* Brightness, contrast and saturation by factors uniform in [max(0, 1 - strength), 1 + strength],
 * and, where hue > 0, a turn of the hue (hue.h) uniform in [-hue, hue], in an order drawn, in
 * Pillow's arithmetic (ImageEnhance): pixels [count, 3], in place. Strength 0: the hue alone. */
void crop_jitter(const crop_draw *draw, float strength, float hue, uint8_t *pixels, size_t count);

#endif
