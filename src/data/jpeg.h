/* JPEG files as arrays of RGB bytes and back (libjpeg-turbo), and what their headers say. */
#ifndef LOCKSTEP_DATA_JPEG_H
#define LOCKSTEP_DATA_JPEG_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct jpeg_image {
    int height, width;
    uint8_t *pixels; /* [height, width, 3], owned: free() */
    bool warned;
} jpeg_image;

/* More than this is taken for a bomb: where Pillow refuses (twice its MAX_IMAGE_PIXELS). */
#define IMAGE_PIXEL_LIMIT 178956970

/* LS_BAD_INPUT in a build without libjpeg, where all that follows says the same. */
int jpeg_check(ls_error *error);

/* Decodes colour, grey (repeated three times) and CMYK files. Where the shorter side is at least
 * twice `wanted`, the decoder scales down by 2, 4 or 8 while it stays so: what is left is the
 * resampler's work. wanted = 0: no scaling. A file whose pixels are not all there is LS_BAD_INPUT
 * and named; one that only breaks the standard where no pixel depends on it is taken, and sets
 * `warned`. An orientation in EXIF is not applied. */
int jpeg_read(const char *path, int wanted, jpeg_image *out, ls_error *error);

/* The same of a file that is in memory; `path` is for messages. */
int jpeg_decode(const char *path, const uint8_t *bytes, size_t length, int wanted, jpeg_image *out,
                ls_error *error);

typedef struct jpeg_facts {
    int height, width, components;
    bool cmyk, arithmetic; /* not what every decoder takes */
    int orientation;       /* of EXIF, 1 to 8; 1: as stored, and where there is none */
    int64_t decode_bytes;  /* that decoding takes, beside its pixels */
    bool warned;           /* as jpeg_read says */
} jpeg_facts;

/* Reads the header. LS_BAD_INPUT where nothing could decode the file to RGB: it is no JPEG, of 12
 * bits or without loss, of two components, of odd sampling, or of more than IMAGE_PIXEL_LIMIT. */
int jpeg_inspect(const char *path, const uint8_t *bytes, size_t length, jpeg_facts *out,
                 ls_error *error);

/* Reads every code of the file: decodes it to an eighth of its size, where each fault of its codes
 * shows as it does at full size (libjpeg finds them before any pixel is computed). LS_BAD_INPUT as
 * jpeg_read; may set facts->warned. */
int jpeg_probe(const char *path, const uint8_t *bytes, size_t length, jpeg_facts *facts,
               ls_error *error);

/* pixels [height, width, 3] as a baseline JPEG (YCbCr, chroma halved both ways, as cjpeg does) of
 * quality 1 to 100. *out is the caller's to free(). */
int jpeg_encode(const uint8_t *pixels, int height, int width, int quality, uint8_t **out,
                size_t *length, ls_error *error);

#endif
