/* png_image.h in a build that found no libpng. */
#include "data/png_image.h"

int png_decode(const char *path, const uint8_t *bytes, size_t length, jpeg_image *out,
               ls_error *error) {
    (void)bytes;
    (void)length;
    *out = (jpeg_image){0};
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: expected a JPEG file, found PNG, which this build cannot convert (install "
                   "libpng's headers, then meson setup --reconfigure -Dpng=enabled build)",
                   path);
}
