/* Resampling to a square: the shorter side becomes `size`, the middle of the longer one stays. */
#ifndef LOCKSTEP_DATA_RESIZE_H
#define LOCKSTEP_DATA_RESIZE_H

#include "base/error.h"

#include <stdint.h>

/* pixels [height, width, 3] -> out [size, size, 3]. A triangle filter that widens with the
 * reduction (as Pillow's BILINEAR), so that no pixel of the source is skipped; fixed point, two
 * passes. LS_FAILED when out of memory. */
int resize_square(const uint8_t *pixels, int height, int width, int size, uint8_t *out,
                  ls_error *error);

#endif
