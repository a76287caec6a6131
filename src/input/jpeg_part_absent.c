/* Without libjpeg-turbo there are no encoded images. */
#include "input/jpeg_part.h"

static int absent(ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT,
                   "encoded images: this build has no libjpeg-turbo (install libjpeg-turbo's "
                   "headers and build again)");
}

int jpeg_decoder_open(jpeg_decoder **out, ls_error *error) {
    *out = NULL;
    return absent(error);
}

void jpeg_decoder_close(jpeg_decoder *self) {
    (void)self;
}

int jpeg_decoder_begin(jpeg_decoder *self, const uint8_t *bytes, size_t count, int *height,
                       int *width, ls_error *error) {
    (void)self, (void)bytes, (void)count, (void)height, (void)width;
    return absent(error);
}

int jpeg_decoder_part(jpeg_decoder *self, const jpeg_part *part, ls_error *error) {
    (void)self, (void)part;
    return absent(error);
}

int jpeg_decoder_rows(jpeg_decoder *self, const uint8_t **rows, size_t *stride, int *count,
                      ls_error *error) {
    (void)self, (void)rows, (void)stride, (void)count;
    return absent(error);
}
