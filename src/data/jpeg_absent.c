/* jpeg.h in a build that found no libjpeg. */
#include "data/jpeg.h"

int jpeg_check(ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT,
                   "JPEG files: this build has no libjpeg (install libjpeg-turbo's headers, then "
                   "meson setup --reconfigure -Djpeg=enabled build)");
}

int jpeg_read(const char *path, int wanted, jpeg_image *out, ls_error *error) {
    (void)path;
    (void)wanted;
    *out = (jpeg_image){0};
    return jpeg_check(error);
}

int jpeg_decode(const char *path, const uint8_t *bytes, size_t length, int wanted, jpeg_image *out,
                ls_error *error) {
    (void)bytes;
    (void)length;
    return jpeg_read(path, wanted, out, error);
}

int jpeg_inspect(const char *path, const uint8_t *bytes, size_t length, jpeg_facts *out,
                 ls_error *error) {
    (void)path;
    (void)bytes;
    (void)length;
    *out = (jpeg_facts){0};
    return jpeg_check(error);
}

int jpeg_probe(const char *path, const uint8_t *bytes, size_t length, jpeg_facts *facts,
               ls_error *error) {
    return jpeg_inspect(path, bytes, length, facts, error);
}

int jpeg_encode(const uint8_t *pixels, int height, int width, int quality, uint8_t **out,
                size_t *length, ls_error *error) {
    (void)pixels;
    (void)height;
    (void)width;
    (void)quality;
    *out = NULL;
    *length = 0;
    return jpeg_check(error);
}
