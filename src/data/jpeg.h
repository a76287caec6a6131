/* JPEG files as arrays of RGB bytes (libjpeg-turbo). */
#ifndef LOCKSTEP_DATA_JPEG_H
#define LOCKSTEP_DATA_JPEG_H

#include "base/error.h"

#include <stdint.h>

typedef struct jpeg_image {
    int height, width;
    uint8_t *pixels; /* [height, width, 3], owned: free() */
} jpeg_image;

/* Decodes colour, grey (repeated three times) and CMYK files. Where the shorter side is at least
 * twice `wanted`, the decoder scales down by 2, 4 or 8 while it stays so: what is left is the
 * resampler's work. A file that is damaged in any way is LS_BAD_INPUT and named. */
int jpeg_read(const char *path, int wanted, jpeg_image *out, ls_error *error);

#endif
