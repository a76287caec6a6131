/* A turn of the hue of pixels, in Pillow's arithmetic: RGB to HSV of 8 bits each (Smith, "Color
 * gamut transform pairs", SIGGRAPH 1978, with Pillow's roundings), the hue moved on by whole steps
 * of 255 around the circle, and back, as torchvision's adjust_hue does it on Pillow's images. */
#ifndef LOCKSTEP_INPUT_HUE_H
#define LOCKSTEP_INPUT_HUE_H

#include <stddef.h>
#include <stdint.h>

/* By `turn` of the circle, in [-0.5, 0.5]: pixels [count, 3], in place. A turn of 0 changes pixels
 * too, by what 8 bits of hue and saturation do not hold. */
void hue_turn(double turn, uint8_t *pixels, size_t count);

#endif
