#include "data/png_image.h"

#include <png.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libpng's reader of a file in memory, and what it says before it gives up. */
typedef struct reader {
    const uint8_t *bytes;
    size_t left;
    char text[128];
    bool warned;
    uint8_t **rows; /* [height], owned; into the image */
} reader;

static void on_error(png_structp decoder, png_const_charp text) {
    reader *self = png_get_error_ptr(decoder);
    snprintf(self->text, sizeof self->text, "%s", text);
    png_longjmp(decoder, 1);
}

static void on_warning(png_structp decoder, png_const_charp text) {
    (void)text;
    ((reader *)png_get_error_ptr(decoder))->warned = true;
}

static void give(png_structp decoder, png_bytep out, size_t length) {
    reader *self = png_get_io_ptr(decoder);
    if (length > self->left)
        png_error(decoder, "the file ends too early");
    memcpy(out, self->bytes, length);
    self->bytes += length;
    self->left -= length;
}

/* Whatever it is becomes 8 bits of red, green and blue. */
static void ask_rgb(png_structp decoder, png_infop info) {
    int type = png_get_color_type(decoder, info);
    png_set_strip_16(decoder);
    png_set_expand(decoder); /* palettes, grey of 1 to 4 bits */
    png_set_strip_alpha(decoder);
    if (type == PNG_COLOR_TYPE_GRAY || type == PNG_COLOR_TYPE_GRAY_ALPHA)
        png_set_gray_to_rgb(decoder);
    png_set_interlace_handling(decoder);
    png_read_update_info(decoder, info);
}

static int decode(png_structp decoder, png_infop info, reader *self, jpeg_image *out) {
    if (setjmp(png_jmpbuf(decoder)))
        return -1;
    png_set_read_fn(decoder, self, give);
    png_set_user_limits(decoder, IMAGE_PIXEL_LIMIT, IMAGE_PIXEL_LIMIT);
    png_read_info(decoder, info);
    out->height = (int)png_get_image_height(decoder, info);
    out->width = (int)png_get_image_width(decoder, info);
    if ((int64_t)out->height * out->width > IMAGE_PIXEL_LIMIT)
        png_error(decoder, "more pixels than any picture has");
    ask_rgb(decoder, info);
    size_t row = (size_t)out->width * 3;
    if (png_get_rowbytes(decoder, info) != row)
        png_error(decoder, "a form of colour that does not become RGB");
    out->pixels = malloc((size_t)out->height * row);
    self->rows = malloc((size_t)out->height * sizeof *self->rows);
    if (!out->pixels || !self->rows)
        png_error(decoder, "out of memory");
    for (int y = 0; y < out->height; y++)
        self->rows[y] = out->pixels + (size_t)y * row;
    png_read_image(decoder, self->rows);
    png_read_end(decoder, NULL);
    return 0;
}

int png_decode(const char *path, const uint8_t *bytes, size_t length, jpeg_image *out,
               ls_error *error) {
    reader self = {.bytes = bytes, .left = length};
    *out = (jpeg_image){0};
    png_structp decoder =
        png_create_read_struct(PNG_LIBPNG_VER_STRING, &self, on_error, on_warning);
    png_infop info = decoder ? png_create_info_struct(decoder) : NULL;
    if (!info) {
        png_destroy_read_struct(&decoder, NULL, NULL);
        return ls_fail(error, LS_FAILED, "%s: out of memory for libpng", path);
    }
    int failed = decode(decoder, info, &self, out);
    png_destroy_read_struct(&decoder, &info, NULL);
    free(self.rows);
    out->warned = self.warned;
    if (!failed)
        return LS_OK;
    free(out->pixels);
    out->pixels = NULL;
    return ls_fail(error, LS_BAD_INPUT, "%s: expected a whole PNG file, found: %s", path,
                   self.text);
}
