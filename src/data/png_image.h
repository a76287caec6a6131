/* PNG files as arrays of RGB bytes (libpng): for those that are named as JPEGs. */
#ifndef LOCKSTEP_DATA_PNG_IMAGE_H
#define LOCKSTEP_DATA_PNG_IMAGE_H

#include "base/error.h"
#include "data/jpeg.h"

#include <stdbool.h>

/* Is it one, by its first bytes? */
bool png_is(const uint8_t *bytes, size_t length);

/* What its header claims; false where it has none. */
bool png_size(const uint8_t *bytes, size_t length, uint32_t *height, uint32_t *width);

/* Of 16 bits the upper 8; palettes and grey become RGB; an alpha channel is dropped (as Pillow's
 * convert("RGB") does). LS_BAD_INPUT, naming `path`, where it is damaged, or in a build without
 * libpng, which says so. */
int png_decode(const char *path, const uint8_t *bytes, size_t length, jpeg_image *out,
               ls_error *error);

#endif
