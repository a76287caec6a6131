/* A JPEG image in memory becomes an array of pixels: decoded, cropped, resampled, mirrored.
 *
 * DECODE_EXACT: bit for bit what torchvision makes of a PIL image for the same view. Only rows and
 * columns that the view needs are decoded, with what upsampling needs around them, so that they are
 * the pixels of the whole image.
 *
 * DECODE_FAST differs from it in two ways. Where the view's box is at least 2, 4 or 8 times as
 * large as its output in both directions, the decoder leaves out high frequencies and gives an
 * image reduced by that, of which the resampler takes the rest (antialiased by the DCT's box
 * instead of the triangle). And colour that is stored at half the resolution is not interpolated.
 */
#ifndef LOCKSTEP_INPUT_PICTURE_H
#define LOCKSTEP_INPUT_PICTURE_H

#include "input/jpeg_part.h"
#include "input/resample.h"

typedef enum { DECODE_EXACT, DECODE_FAST } decode_how;

/* Pixels [from, from + extent) of the image become `size`, of which [first, first + count) are
 * wanted. */
typedef struct view_axis {
    int from, extent;
    int size, first, count;
} view_axis;

typedef struct view {
    view_axis columns, rows;
    bool mirrored; /* left to right */
} view;

/* A thread's own; zero bytes before picture_open. */
typedef struct picture {
    jpeg_decoder *decoder;
    resampler resampler;
    int height, width; /* of the image at hand */
} picture;

int picture_open(picture *self, ls_error *error);
void picture_close(picture *self);

/* The image's header, for its size; `bytes` stay until picture_take is done. Errors as
 * jpeg_decoder_begin's. */
int picture_begin(picture *self, const uint8_t *bytes, size_t count, ls_error *error);

/* out [rows.count, columns.count, 3]. Once after picture_begin; the view's box lies in the image.
 */
int picture_take(picture *self, const view *view, decode_how how, uint8_t *out, ls_error *error);

#endif
