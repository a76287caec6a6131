#include "data/digest.h"
#include "data/shard.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Version 1 has no @kind: pixels. */
static int read_kind(shard *self, ls_error *error) {
    int64_t version = 0;
    char kind[16];
    LS_TRY(h5_get_integer(&self->file, "format_version", FORMAT_VERSION, FORMAT_VERSION_ENCODED,
                          &version, error));
    self->header.kind = version == FORMAT_VERSION_ENCODED ? CONTENT_ENCODED : CONTENT_PIXELS;
    if (self->header.kind == CONTENT_PIXELS)
        return LS_OK;
    LS_TRY(h5_get_text(&self->file, "kind", kind, sizeof kind, error));
    if (strcmp(kind, content_names[CONTENT_ENCODED]) != 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: attribute @kind: expected 'encoded', found '%s'",
                       self->path, kind);
    return LS_OK;
}

static int read_attributes(shard *self, ls_error *error) {
    char format[32];
    LS_TRY(h5_get_text(&self->file, "format", format, sizeof format, error));
    if (strcmp(format, "lockstep shard") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: attribute @format: expected 'lockstep shard', found '%s'", self->path,
                       format);
    LS_TRY(read_kind(self, error));
    LS_TRY(h5_get_text(&self->file, "split", self->split, sizeof self->split, error));
    if (self->header.kind == CONTENT_ENCODED)
        LS_TRY(h5_get_integer(&self->file, "shard", 0, FORMAT_SHARD_LIMIT - 1, &self->header.number,
                              error));
    else
        LS_TRY(
            h5_get_integer(&self->file, "first_index", 0, INT64_MAX, &self->header.first, error));
    LS_TRY(h5_get_names(&self->file, "classes", &self->classes, error));
    return h5_get_text(&self->file, "sha256", self->sha256, sizeof self->sha256, error);
}

static int check_side(const shard *self, const char *word, int64_t found, ls_error *error) {
    if (found >= 1 && found <= FORMAT_SIDE_LIMIT)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: /images: expected a %s of 1 to %d, found %" PRId64,
                   self->path, word, FORMAT_SIDE_LIMIT, found);
}

static int take_pixels(shard *self, ls_error *error) {
    const int64_t *extent = self->forms[PART_IMAGES].extent;
    LS_TRY(check_side(self, "height", extent[1], error));
    LS_TRY(check_side(self, "width", extent[2], error));
    LS_TRY(check_side(self, "number of channels", extent[3], error));
    self->header.shape = (image_shape){(int)extent[1], (int)extent[2], (int)extent[3]};
    return LS_OK;
}

/* The first extents of all parts follow from two: as many labels as images, and so on. */
static int check_extents(const shard *self, ls_error *error) {
    for (int part = 0; part < shard_parts(self->header.kind); part++) {
        part_form expected = shard_part(&self->header, part);
        const part_form *found = &self->forms[part];
        for (int dimension = 0; dimension < expected.rank; dimension++)
            if (found->extent[dimension] != expected.extent[dimension])
                return ls_fail(error, LS_BAD_INPUT,
                               "%s: %s: expected %" PRId64 " values along dimension %d, as for "
                               "%" PRId64 " images, found %" PRId64,
                               self->path, found->name, expected.extent[dimension], dimension,
                               self->header.images, found->extent[dimension]);
    }
    return LS_OK;
}

static int read_shape(shard *self, ls_error *error) {
    for (int part = 0; part < shard_parts(self->header.kind); part++) {
        self->forms[part] = shard_part(&self->header, part);
        LS_TRY(h5_check_part(&self->parts[part], &self->forms[part], error));
    }
    int64_t images = self->forms[PART_LABELS].extent[0];
    int64_t first = self->forms[0].extent[0];
    bool encoded = self->header.kind == CONTENT_ENCODED;
    if (images < 1 || (!encoded && images != first))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected as many labels as images and at least one, found %" PRId64
                       " images and %" PRId64 " labels",
                       self->path, encoded ? images : first, images);
    if (images > (int64_t)1 << 40)
        return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected at most 2^40, found %" PRId64,
                       self->path, self->forms[0].name, images);
    self->header.images = images;
    if (encoded)
        self->header.bytes = first;
    else
        LS_TRY(take_pixels(self, error));
    return check_extents(self, error);
}

static int read_facts(shard *self, ls_error *error) {
    LS_TRY(h5_open(self->path, &self->file, error));
    LS_TRY(read_attributes(self, error));
    int parts = shard_parts(self->header.kind);
    for (int part = 0; part < parts; part++) {
        self->forms[part] = shard_part(&self->header, part); /* for its name */
        LS_TRY(h5_open_object(&self->file, self->forms[part].name, H5O_TYPE_DATASET,
                              &self->parts[part], error));
    }
    LS_TRY(read_shape(self, error));
    for (int part = 0; part < parts; part++)
        LS_TRY(h5_get_crcs(&self->parts[part], "crc32c", crc_blocks(part_bytes(&self->forms[part])),
                           &self->crcs[part], error));
    for (int part = 0; part < parts; part++)
        LS_TRY(h5_check_stored(&self->parts[part], error));
    return LS_OK;
}

int shard_open(shard *self, const char *path, ls_error *error) {
    memset(self, 0, sizeof *self);
    self->file.id = -1;
    for (int part = 0; part < MOST_PARTS; part++)
        self->parts[part].id = -1;
    self->header.split = self->split;
    self->header.classes = &self->classes;
    snprintf(self->path, sizeof self->path, "%s", path);
    int status = read_facts(self, error);
    if (status != LS_OK)
        shard_close(self);
    return status;
}

static int check_labels(const shard *self, const int32_t *labels, ls_error *error) {
    for (int64_t index = 0; index < self->header.images; index++)
        if (labels[index] < 0 || labels[index] >= self->classes.count)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: /labels[%" PRId64 "]: expected a class from 0 to %d, found %d",
                           self->path, index, self->classes.count - 1, labels[index]);
    return LS_OK;
}

static int check_offsets(const shard *self, const int64_t *offsets, ls_error *error) {
    int64_t images = self->header.images, end = self->header.bytes;
    if (offsets[0] != 0 || offsets[images] != end)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: /offsets: expected 0 to %" PRId64 ", found %" PRId64 " to %" PRId64,
                       self->path, end, offsets[0], offsets[images]);
    for (int64_t index = 0; index < images; index++)
        if (offsets[index + 1] <= offsets[index] || offsets[index + 1] > end)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: /offsets[%" PRId64 "]: expected more than %" PRId64
                           " and at most %" PRId64 ", found %" PRId64,
                           self->path, index + 1, offsets[index], end, offsets[index + 1]);
    return LS_OK;
}

static int check_sizes(const shard *self, const int32_t *sizes, ls_error *error) {
    for (int64_t index = 0; index < 2 * self->header.images; index++)
        if (sizes[index] < 1 || sizes[index] > FORMAT_JPEG_SIDE_LIMIT)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: /sizes[%" PRId64 "]: expected 1 to %d pixels, found %d", self->path,
                           index / 2, FORMAT_JPEG_SIDE_LIMIT, sizes[index]);
    return LS_OK;
}

/* One large read straight into place, then the checksums of what has arrived. */
int shard_read(const shard *self, int part, void *out, ls_error *error) {
    const h5_object *set = &self->parts[part];
    LS_TRY(h5_read_part(set, &self->forms[part], out, error));
    int64_t block = crc_first_difference(out, part_bytes(&self->forms[part]), self->crcs[part]);
    if (block >= 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: %s: block %" PRId64 " (bytes %" PRId64 " and on): its CRC-32C is not "
                       "the one recorded: the file is damaged",
                       self->path, self->forms[part].name, block, block * FORMAT_BLOCK_BYTES);
    switch (part) {
    case PART_LABELS:
        return check_labels(self, out, error);
    case PART_OFFSETS:
        return check_offsets(self, out, error);
    case PART_SIZES:
        return check_sizes(self, out, error);
    default:
        return LS_OK;
    }
}

int shard_place(const shard *self, int part, int64_t *out, ls_error *error) {
    haddr_t place = H5Dget_offset(self->parts[part].id);
    if (place == HADDR_UNDEF)
        return h5_fail(error, LS_BAD_INPUT, self->path, "find where its values lie");
    *out = (int64_t)place;
    return LS_OK;
}

void shard_close(shard *self) {
    for (int part = 0; part < MOST_PARTS; part++) {
        h5_close(&self->parts[part]);
        free(self->crcs[part]);
        self->crcs[part] = NULL;
    }
    h5_close(&self->file);
    class_names_release(&self->classes);
}
