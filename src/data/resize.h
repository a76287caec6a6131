/* Resampling of RGB bytes. */
#ifndef LOCKSTEP_DATA_RESIZE_H
#define LOCKSTEP_DATA_RESIZE_H

#include "base/error.h"

#include <stdint.h>

/* pixels [height, width, 3] -> out [size, size, 3]: the shorter side becomes `size`, the middle of
 * the longer one stays. A triangle filter that widens with the
 * reduction (as Pillow's BILINEAR), so that no pixel of the source is skipped; fixed point, two
 * passes. LS_FAILED when out of memory. */
int resize_square(const uint8_t *pixels, int height, int width, int size, uint8_t *out,
                  ls_error *error);

/* The whole image: -> out [to_height, to_width, 3], by the same filter. */
int resize_whole(const uint8_t *pixels, int height, int width, int to_height, int to_width,
                 uint8_t *out, ls_error *error);

#endif
