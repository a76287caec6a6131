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
