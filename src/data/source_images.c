#include "data/image_folder.h"
#include "data/jpeg.h"
#include "data/resize.h"
#include "data/source.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct source_images {
    source base;
    int size;
    image_folder folder;
} source_images;

static int fill_image(const source_images *self, const char *path, uint8_t *out, int64_t *warned,
                      ls_error *error) {
    jpeg_image decoded;
    LS_TRY(jpeg_read(path, self->size, &decoded, error));
    int status =
        resize_square(decoded.pixels, decoded.height, decoded.width, self->size, out, error);
    free(decoded.pixels);
    *warned += status == LS_OK && decoded.warned;
    return status;
}

static int fill(const source *base, int split, int64_t first, int64_t count, uint8_t *images,
                int32_t *labels, int64_t *warned, ls_error *error) {
    const source_images *self = (const source_images *)base;
    for (int64_t done = 0; done < count; done++) {
        char path[4096];
        LS_TRY(image_folder_path(&self->folder, split, first + done, path, sizeof path, error));
        LS_TRY(fill_image(self, path, images + done * image_bytes(&base->shape), warned, error));
        labels[done] = self->folder.splits[split].entries[first + done].label;
    }
    return LS_OK;
}

static void release(source *base) {
    source_images *self = (source_images *)base;
    image_folder_close(&self->folder);
    free(self);
}

static const source_interface images = {.name = "images", .fill = fill, .close = release};

int source_images_open(const char *folder, const image_folder_settings *settings, source **out,
                       ls_error *error) {
    image_folder_choices choices = {.test_fraction = settings->test_fraction,
                                    .seed = settings->seed};
    *out = NULL;
    LS_TRY(jpeg_check(error));
    source_images *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: out of memory", folder);
    self->base.is = &images;
    self->base.shape = (image_shape){settings->size, settings->size, 3};
    self->size = settings->size;
    int status = image_folder_open(&self->folder, folder, &choices, error);
    if (status == LS_OK)
        status = class_names_copy(&self->base.classes, &self->folder.classes, error);
    for (int split = 0; split < SPLITS; split++)
        self->base.images[split] = self->folder.splits[split].count;
    memcpy(self->base.ignored, self->folder.ignored, sizeof self->base.ignored);
    if (status == LS_OK)
        *out = &self->base;
    else
        source_close(&self->base);
    return status;
}
