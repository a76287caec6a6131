#include "data/png_image.h"

#include <string.h>

/* PNG (ISO/IEC 15948): the signature, then the chunk IHDR with width and height. */
bool png_is(const uint8_t *bytes, size_t length) {
    static const uint8_t signature[8] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1A, '\n'};
    return length >= sizeof signature && memcmp(bytes, signature, sizeof signature) == 0;
}

static uint32_t big_endian(const uint8_t *at) {
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

bool png_size(const uint8_t *bytes, size_t length, uint32_t *height, uint32_t *width) {
    if (!png_is(bytes, length) || length < 24 || memcmp(bytes + 12, "IHDR", 4) != 0)
        return false;
    *width = big_endian(bytes + 16);
    *height = big_endian(bytes + 20);
    return true;
}
