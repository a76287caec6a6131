#include "input/jpeg_part.h"

#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

/* Rows at once, bytes a pixel, pixels that may be read behind a row; pixels to either side that
 * upsampling looks at, no more than that. */
enum { ROWS = 4, PIXEL = 4, BEHIND = 4, MARGIN = 2 };

struct jpeg_decoder {
    struct jpeg_decompress_struct codec;
    struct jpeg_error_mgr manager;
    jmp_buf abandon;
    char text[JMSG_LENGTH_MAX];
    uint8_t *memory; /* [ROWS, stride] */
    size_t room, stride;
    size_t before; /* bytes of a row before the part's pixel 0 */
    int bottom;    /* of the part */
};

static void on_error(j_common_ptr codec) {
    jpeg_decoder *self = codec->client_data;
    self->manager.format_message(codec, self->text);
    longjmp(self->abandon, 1);
}

/* All of the image is in one scan of Huffman codes: what it lacks, the decoder says for itself. */
static bool is_one_scan(const struct jpeg_decompress_struct *codec) {
    return !codec->progressive_mode && !codec->arith_code && codec->num_components > 0 &&
           codec->comps_in_scan == codec->num_components;
}

/* What packing takes too: no pixel depends on it. */
static bool touches_no_pixel(const struct jpeg_decompress_struct *codec) {
    switch (codec->err->msg_code) {
    case JWRN_EXTRANEOUS_DATA:
    case JWRN_JFIF_MAJOR:
    case JWRN_NOT_SEQUENTIAL:
        return true;
    case JWRN_JPEG_EOF:
        return is_one_scan(codec);
    default:
        return false;
    }
}

static void on_message(j_common_ptr codec, int level) {
    jpeg_decoder *self = codec->client_data;
    if (level < 0 && !touches_no_pixel(&self->codec))
        on_error(codec);
}

static int fail(const jpeg_decoder *self, ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT, "expected a whole JPEG image, found: %s", self->text);
}

int jpeg_decoder_open(jpeg_decoder **out, ls_error *error) {
    jpeg_decoder *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->codec.err = jpeg_std_error(&self->manager);
    self->codec.client_data = self;
    self->manager.error_exit = on_error;
    self->manager.emit_message = on_message;
    if (setjmp(self->abandon)) {
        free(self);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    jpeg_create_decompress(&self->codec);
    *out = self;
    return LS_OK;
}

void jpeg_decoder_close(jpeg_decoder *self) {
    if (!self)
        return;
    jpeg_destroy_decompress(&self->codec);
    free(self->memory);
    free(self);
}

int jpeg_decoder_begin(jpeg_decoder *self, const uint8_t *bytes, size_t count, int *height,
                       int *width, ls_error *error) {
    if (setjmp(self->abandon))
        return fail(self, error);
    jpeg_abort_decompress(&self->codec);
    jpeg_mem_src(&self->codec, bytes, (unsigned long)count);
    jpeg_read_header(&self->codec, TRUE);
    *height = (int)self->codec.image_height;
    *width = (int)self->codec.image_width;
    return LS_OK;
}

/* Adobe's CMYK is stored inverted, 255 is no ink; in Pillow's arithmetic. */
static void cmyk_to_rgb(uint8_t *row, size_t width) {
    for (uint8_t *pixel = row; pixel < row + width * PIXEL; pixel += PIXEL)
        for (int channel = 0; channel < 3; channel++) {
            int product = (255 - pixel[channel]) * pixel[3] + 128;
            int value = pixel[3] - (((product >> 8) + product) >> 8);
            pixel[channel] = (uint8_t)(value < 0 ? 0 : value);
        }
}

static int make_room(jpeg_decoder *self, ls_error *error) {
    self->stride = ((size_t)self->codec.output_width + BEHIND) * PIXEL;
    if (self->stride * ROWS <= self->room)
        return LS_OK;
    free(self->memory);
    self->room = self->stride * ROWS;
    self->memory = calloc(1, self->room);
    if (self->memory)
        return LS_OK;
    self->room = 0;
    return ls_fail(error, LS_FAILED, "out of memory to decode an image");
}

/* Fewer columns, where the image has more: with what upsampling needs on either side. */
static void crop(jpeg_decoder *self, const jpeg_part *part) {
    int whole = (int)self->codec.output_width, right = part->left + part->width + MARGIN;
    JDIMENSION first = part->left > MARGIN ? (JDIMENSION)(part->left - MARGIN) : 0;
    JDIMENSION width = (JDIMENSION)(right < whole ? right : whole) - first;
    if (first > 0 || (int)width < whole)
        jpeg_crop_scanline(&self->codec, &first, &width);
    self->before = ((size_t)part->left - first) * PIXEL;
}

int jpeg_decoder_part(jpeg_decoder *self, const jpeg_part *part, ls_error *error) {
    struct jpeg_decompress_struct *codec = &self->codec;
    if (setjmp(self->abandon))
        return fail(self, error);
    codec->out_color_space = codec->num_components == 4 ? JCS_CMYK : JCS_EXT_RGBX;
    codec->dct_method = JDCT_ISLOW;
    codec->scale_num = 1;
    codec->scale_denom = (unsigned)part->reduction;
    codec->do_fancy_upsampling = !part->nearest_colour;
    jpeg_start_decompress(codec);
    LS_TRY(make_room(self, error));
    crop(self, part);
    if (part->top > 0)
        jpeg_skip_scanlines(codec, (JDIMENSION)part->top);
    self->bottom = part->top + part->height;
    return LS_OK;
}

int jpeg_decoder_rows(jpeg_decoder *self, const uint8_t **rows, size_t *stride, int *count,
                      ls_error *error) {
    struct jpeg_decompress_struct *codec = &self->codec;
    if (setjmp(self->abandon))
        return fail(self, error);
    int left = self->bottom - (int)codec->output_scanline, wanted = left < ROWS ? left : ROWS;
    JSAMPROW into[ROWS];
    for (int row = 0; row < ROWS; row++)
        into[row] = self->memory + (size_t)row * self->stride;
    for (*count = 0; *count < wanted;)
        *count += (int)jpeg_read_scanlines(codec, into + *count, (JDIMENSION)(wanted - *count));
    if (codec->output_components == PIXEL && codec->out_color_space == JCS_CMYK)
        for (int row = 0; row < *count; row++)
            cmyk_to_rgb(into[row], codec->output_width);
    *rows = self->memory + self->before;
    *stride = self->stride;
    return LS_OK;
}
