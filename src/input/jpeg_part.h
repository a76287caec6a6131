/* A part of a JPEG image in memory, decoded row by row (libjpeg-turbo). With fancy upsampling and
 * the slow DCT of integers the pixels are Pillow's and torchvision's. A part's pixels are those of
 * the whole image: what upsampling needs of its surroundings is decoded too. */
#ifndef LOCKSTEP_INPUT_JPEG_PART_H
#define LOCKSTEP_INPUT_JPEG_PART_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

/* One a thread, for any number of images. */
typedef struct jpeg_decoder jpeg_decoder;

typedef struct jpeg_part {
    int left, top, width, height; /* in pixels of the (reduced) image, inside it */
    /* 1, 2, 4 or 8: decoded to a side of ceil(side / reduction) by leaving out frequencies. */
    int reduction;
    /* No fancy upsampling: where colour is stored at half the resolution, a pixel takes that of the
     * nearest. Quicker; not Pillow's pixels. */
    bool nearest_colour;
} jpeg_part;

/* LS_BAD_INPUT in a build without libjpeg-turbo. */
int jpeg_decoder_open(jpeg_decoder **out, ls_error *error);
void jpeg_decoder_close(jpeg_decoder *self); /* NULL is fine */

/* Reads the header of the image; `bytes` stay until the next begin. Whatever fails, here and below,
 * is LS_BAD_INPUT with a text to stand behind the image's name ("expected a whole JPEG image,
 * found: ..."): what libjpeg calls an error, or a warning where pixels were made up. */
int jpeg_decoder_begin(jpeg_decoder *self, const uint8_t *bytes, size_t count, int *height,
                       int *width, ls_error *error);

/* The part to decode; once after begin. */
int jpeg_decoder_part(jpeg_decoder *self, const jpeg_part *part, ls_error *error);

/* Its next rows, at most 4: *rows points at pixel 0 of the part, of 4 bytes each (R, G, B, any),
 * *stride bytes a row; *count of them, valid until the next call. Behind each row are 4 bytes that
 * may be read. Not to be called after the last. */
int jpeg_decoder_rows(jpeg_decoder *self, const uint8_t **rows, size_t *stride, int *count,
                      ls_error *error);

#endif
