#include "data/digest.h"
#include "data/shard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_attributes(shard *self, ls_error *error) {
    char format[32];
    int64_t version = 0;
    LS_TRY(h5_get_text(&self->file, "format", format, sizeof format, error));
    if (strcmp(format, "lockstep shard") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: attribute @format: expected 'lockstep shard', found '%s'", self->path,
                       format);
    LS_TRY(h5_get_integer(&self->file, "format_version", FORMAT_VERSION, FORMAT_VERSION, &version,
                          error));
    LS_TRY(h5_get_text(&self->file, "split", self->split, sizeof self->split, error));
    LS_TRY(h5_get_integer(&self->file, "first_index", 0, INT64_MAX, &self->header.first, error));
    LS_TRY(h5_get_names(&self->file, "classes", &self->classes, error));
    return h5_get_text(&self->file, "sha256", self->sha256, sizeof self->sha256, error);
}

static int check_side(const shard *self, const char *word, hsize_t found, ls_error *error) {
    if (found >= 1 && found <= FORMAT_SIDE_LIMIT)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: /images: expected a %s of 1 to %d, found %" PRIu64,
                   self->path, word, FORMAT_SIDE_LIMIT, (uint64_t)found);
}

static int read_shape(shard *self, ls_error *error) {
    hsize_t images[4], labels[1];
    LS_TRY(h5_check_dataset(&self->images, H5T_STD_U8LE, "uint8", 4, images, error));
    LS_TRY(h5_check_dataset(&self->labels, H5T_STD_I32LE, "int32", 1, labels, error));
    LS_TRY(check_side(self, "height", images[1], error));
    LS_TRY(check_side(self, "width", images[2], error));
    LS_TRY(check_side(self, "number of channels", images[3], error));
    if (images[0] < 1 || images[0] != labels[0])
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected as many labels as images and at least one, found %" PRIu64
                       " images and %" PRIu64 " labels",
                       self->path, (uint64_t)images[0], (uint64_t)labels[0]);
    if (images[0] > (hsize_t)1 << 40)
        return ls_fail(error, LS_BAD_INPUT, "%s: /images: expected at most 2^40, found %" PRIu64,
                       self->path, (uint64_t)images[0]);
    self->header.images = (int64_t)images[0];
    self->header.shape = (image_shape){(int)images[1], (int)images[2], (int)images[3]};
    return LS_OK;
}

static int read_facts(shard *self, ls_error *error) {
    LS_TRY(h5_open(self->path, &self->file, error));
    LS_TRY(read_attributes(self, error));
    LS_TRY(h5_open_object(&self->file, "/images", H5O_TYPE_DATASET, &self->images, error));
    LS_TRY(h5_open_object(&self->file, "/labels", H5O_TYPE_DATASET, &self->labels, error));
    LS_TRY(read_shape(self, error));
    int64_t images = self->header.images;
    LS_TRY(h5_get_crcs(&self->images, "crc32c",
                       crc_blocks(images * image_bytes(&self->header.shape)), &self->image_crcs,
                       error));
    LS_TRY(h5_get_crcs(&self->labels, "crc32c", crc_blocks(images * (int64_t)sizeof(int32_t)),
                       &self->label_crcs, error));
    LS_TRY(h5_check_stored(&self->images, error));
    return h5_check_stored(&self->labels, error);
}

int shard_open(shard *self, const char *path, ls_error *error) {
    memset(self, 0, sizeof *self);
    self->file.id = self->images.id = self->labels.id = -1;
    self->header.split = self->split;
    self->header.classes = &self->classes;
    snprintf(self->path, sizeof self->path, "%s", path);
    int status = read_facts(self, error);
    if (status != LS_OK)
        shard_close(self);
    return status;
}

/* One large read straight into place, then the checksums of what has arrived. */
static int read_set(const shard *self, const h5_object *set, hid_t type, void *out, int64_t bytes,
                    const uint32_t *crcs, ls_error *error) {
    if (H5Dread(set->id, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        return h5_fail(error, LS_BAD_INPUT, self->path,
                       set == &self->images ? "read /images" : "read /labels");
    int64_t block = crc_first_difference(out, bytes, crcs);
    if (block >= 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: %s: block %" PRId64 " (bytes %" PRId64 " and on): its CRC-32C is not "
                       "the one recorded: the file is damaged",
                       self->path, set->where, block, block * FORMAT_BLOCK_BYTES);
    return LS_OK;
}

static int check_labels(const shard *self, const int32_t *labels, ls_error *error) {
    for (int64_t index = 0; index < self->header.images; index++)
        if (labels[index] < 0 || labels[index] >= self->classes.count)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: /labels[%" PRId64 "]: expected a class from 0 to %d, found %d",
                           self->path, index, self->classes.count - 1, labels[index]);
    return LS_OK;
}

int shard_read(const shard *self, uint8_t *images, int32_t *labels, ls_error *error) {
    int64_t count = self->header.images;
    LS_TRY(read_set(self, &self->labels, H5T_NATIVE_INT32, labels, count * (int64_t)sizeof *labels,
                    self->label_crcs, error));
    LS_TRY(check_labels(self, labels, error));
    return read_set(self, &self->images, H5T_NATIVE_UINT8, images,
                    count * image_bytes(&self->header.shape), self->image_crcs, error);
}

void shard_close(shard *self) {
    h5_close(&self->images);
    h5_close(&self->labels);
    h5_close(&self->file);
    class_names_release(&self->classes);
    free(self->image_crcs);
    free(self->label_crcs);
    self->image_crcs = self->label_crcs = NULL;
}
