/* JPEG files as arrays of RGB bytes (libjpeg-turbo). */
#ifndef LOCKSTEP_DATA_JPEG_H
#define LOCKSTEP_DATA_JPEG_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct jpeg_image {
    int height, width;
    uint8_t *pixels; /* [height, width, 3], owned: free() */
    bool warned;
} jpeg_image;

/* LS_BAD_INPUT in a build without libjpeg, where jpeg_read says the same. */
int jpeg_check(ls_error *error);

/* Decodes colour, grey (repeated three times) and CMYK files. Where the shorter side is at least
 * twice `wanted`, the decoder scales down by 2, 4 or 8 while it stays so: what is left is the
 * resampler's work. A file whose pixels are not all there is LS_BAD_INPUT and named; one that only
 * breaks the standard where no pixel depends on it is taken, and sets `warned`. An orientation in
 * EXIF is not applied. */
int jpeg_read(const char *path, int wanted, jpeg_image *out, ls_error *error);

#endif
