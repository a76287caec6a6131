/* One file of an image folder on its way into an encoded data set: looked at, kept as it is where
 * every decoder takes it, else made a JPEG that each takes. */
#ifndef LOCKSTEP_DATA_IMAGE_FILE_H
#define LOCKSTEP_DATA_IMAGE_FILE_H

#include "base/error.h"
#include "data/memory_budget.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Larger than any picture that is one. */
#define IMAGE_FILE_LIMIT ((int64_t)256 << 20)

typedef struct image_file_settings {
    bool decode;     /* every code is read; else the header (and codes where the end is missing) */
    bool apply_exif; /* turn what EXIF says is turned */
    int max_side;    /* longer ones are shrunk to it; 0: none is */
    int quality;     /* of what is encoded again, 1 to 100 */
    bool encode_all; /* every file is encoded again; the smaller one is kept */
} image_file_settings;

typedef struct image_file {
    uint8_t *bytes; /* what it became, owned: free(); NULL: the file as it is */
    size_t length;
    int height, width; /* as stored in these bytes */
    bool warned;
    bool odd;         /* not every decoder would have taken it, or it was turned */
    char became[160]; /* why it is another one: "CMYK", "PNG, 640 x 480 shrunk to 320 x 240"; or ""
                       */
} image_file;

/* LS_BAD_INPUT names `path` and why nothing can be made of it. Takes from `budget` what decoding
 * needs and gives it back, but for *out's bytes. */
int image_file_take(const image_file_settings *settings, memory_budget *budget, const char *path,
                    const uint8_t *bytes, size_t length, image_file *out, ls_error *error);

#endif
