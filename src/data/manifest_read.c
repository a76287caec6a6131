#include "data/h5.h"
#include "data/manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_pixels(const h5_object *file, image_shape *out, ls_error *error) {
    int64_t height = 0, width = 0, channels = 0;
    LS_TRY(h5_get_integer(file, "height", 1, FORMAT_SIDE_LIMIT, &height, error));
    LS_TRY(h5_get_integer(file, "width", 1, FORMAT_SIDE_LIMIT, &width, error));
    LS_TRY(h5_get_integer(file, "channels", 1, FORMAT_SIDE_LIMIT, &channels, error));
    *out = (image_shape){(int)height, (int)width, (int)channels};
    return LS_OK;
}

/* An attribute that is one of two words. */
static int read_word(const h5_object *file, const char *name, const char *no, const char *yes,
                     bool *out, ls_error *error) {
    char word[16];
    LS_TRY(h5_get_text(file, name, word, sizeof word, error));
    *out = strcmp(word, yes) == 0;
    if (!*out && strcmp(word, no) != 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: attribute @%s: expected '%s' or '%s', found '%s'",
                       file->path, name, no, yes, word);
    return LS_OK;
}

static int read_encoded(const h5_object *file, encoded_facts *out, ls_error *error) {
    char kind[16];
    int64_t max_side = 0, quality = 0;
    LS_TRY(h5_get_text(file, "kind", kind, sizeof kind, error));
    if (strcmp(kind, content_names[CONTENT_ENCODED]) != 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: attribute @kind: expected 'encoded', found '%s'",
                       file->path, kind);
    LS_TRY(read_word(file, "exif", "stored", "applied", &out->exif_applied, error));
    LS_TRY(read_word(file, "check", "header", "decode", &out->decoded, error));
    LS_TRY(read_word(file, "order", "sorted", "shuffled", &out->shuffled, error));
    LS_TRY(h5_get_integer(file, "seed", 0, INT64_MAX, &out->seed, error));
    LS_TRY(h5_get_integer(file, "max_side", 0, FORMAT_JPEG_SIDE_LIMIT, &max_side, error));
    LS_TRY(h5_get_integer(file, "quality", 0, 100, &quality, error));
    out->max_side = (int)max_side;
    out->quality = (int)quality;
    return LS_OK;
}

static int read_attributes(const h5_object *file, manifest *self, ls_error *error) {
    char format[32];
    int64_t version = 0;
    LS_TRY(h5_get_text(file, "format", format, sizeof format, error));
    if (strcmp(format, "lockstep manifest") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: attribute @format: expected 'lockstep manifest', found '%s'",
                       file->path, format);
    LS_TRY(h5_get_integer(file, "format_version", FORMAT_VERSION, FORMAT_VERSION_ENCODED, &version,
                          error));
    self->kind = version == FORMAT_VERSION_ENCODED ? CONTENT_ENCODED : CONTENT_PIXELS;
    LS_TRY(h5_get_text(file, "dataset_id", self->id, sizeof self->id, error));
    LS_TRY(self->kind == CONTENT_ENCODED ? read_encoded(file, &self->encoded, error)
                                         : read_pixels(file, &self->shape, error));
    return h5_get_names(file, "classes", &self->classes, error);
}

/* The lists of a split, as they lie in the file. */
typedef struct shard_lists {
    char *names, *digests;
    int64_t *images, *bytes; /* bytes: of encoded ones; else zeros */
} shard_lists;

static void lists_release(shard_lists *self) {
    free(self->names);
    free(self->digests);
    free(self->images);
    free(self->bytes);
}

static int read_counts(const h5_object *file, const char *where, int64_t count, int64_t *out,
                       ls_error *error) {
    h5_object set;
    hsize_t extent = 0;
    LS_TRY(h5_open_object(file, where, H5O_TYPE_DATASET, &set, error));
    int status = h5_check_dataset(&set, H5T_STD_I64LE, "int64", 1, &extent, error);
    if (status == LS_OK && (int64_t)extent != count)
        status = ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %" PRId64 " values, found %" PRIu64,
                         file->path, where, count, (uint64_t)extent);
    if (status == LS_OK &&
        H5Dread(set.id, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, out) < 0)
        status = h5_fail(error, LS_BAD_INPUT, file->path, "read it");
    h5_close(&set);
    return status;
}

static int read_lists(const h5_object *file, content_kind kind, const char *split, int64_t shards,
                      shard_lists *out, ls_error *error) {
    char files[64], digests[64], images[64], bytes[64];
    snprintf(bytes, sizeof bytes, "/%s/bytes", split);
    snprintf(files, sizeof files, "/%s/files", split);
    snprintf(digests, sizeof digests, "/%s/sha256", split);
    snprintf(images, sizeof images, "/%s/images", split);
    out->names = calloc((size_t)shards, FORMAT_SHARD_NAME_BYTES + 1);
    out->digests = calloc((size_t)shards, FORMAT_DIGEST_BYTES);
    out->images = calloc((size_t)shards, sizeof *out->images);
    out->bytes = calloc((size_t)shards, sizeof *out->bytes);
    if (!out->names || !out->digests || !out->images || !out->bytes)
        return ls_fail(error, LS_FAILED, "%s: out of memory for its list of shards", file->path);
    LS_TRY(h5_get_texts(file, files, shards, FORMAT_SHARD_NAME_BYTES + 1, out->names, error));
    LS_TRY(h5_get_texts(file, digests, shards, FORMAT_DIGEST_BYTES, out->digests, error));
    if (kind == CONTENT_ENCODED)
        LS_TRY(read_counts(file, bytes, shards, out->bytes, error));
    return read_counts(file, images, shards, out->images, error);
}

/* Every name has one possible value, so a shard that is listed twice or left out is seen here. */
static int take_shard(const h5_object *file, const char *split, int index, const shard_lists *lists,
                      manifest_split *out, ls_error *error) {
    manifest_shard *entry = &out->list[index];
    const char *name = lists->names + (size_t)index * (FORMAT_SHARD_NAME_BYTES + 1);
    shard_name(entry->name, split, index);
    if (strcmp(name, entry->name) != 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: /%s/files[%d]: expected '%s', found '%s'",
                       file->path, split, index, entry->name, name);
    snprintf(entry->sha256, sizeof entry->sha256, "%s",
             lists->digests + (size_t)index * FORMAT_DIGEST_BYTES);
    entry->images = lists->images[index];
    if (entry->images < 1 || entry->images > (int64_t)1 << 40)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: /%s/images[%d]: expected 1 to 2^40 images, found %" PRId64, file->path,
                       split, index, entry->images);
    entry->bytes = lists->bytes[index];
    if (entry->bytes < 0 || entry->bytes > (int64_t)1 << 48)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: /%s/bytes[%d]: expected 0 to 2^48 bytes, found %" PRId64, file->path,
                       split, index, entry->bytes);
    return LS_OK;
}

static int take_shards(const h5_object *file, const char *split, const shard_lists *lists,
                       manifest_split *out, ls_error *error) {
    int64_t sum = 0;
    out->list = calloc((size_t)out->shards, sizeof *out->list);
    if (!out->list)
        return ls_fail(error, LS_FAILED, "%s: out of memory for its list of shards", file->path);
    for (int index = 0; index < out->shards; index++) {
        LS_TRY(take_shard(file, split, index, lists, out, error));
        sum += out->list[index].images;
        out->bytes += out->list[index].bytes;
    }
    if (sum != out->images)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: /%s: expected %" PRId64 " images in its shards, found %" PRId64,
                       file->path, split, out->images, sum);
    return LS_OK;
}

/* A count that is absent is 0. */
static int read_some(const h5_object *group, const char *name, int64_t most, int64_t *out,
                     ls_error *error) {
    return H5Aexists(group->id, name) > 0 ? h5_get_integer(group, name, 0, most, out, error)
                                          : LS_OK;
}

static int read_split(const h5_object *file, content_kind kind, const char *split,
                      manifest_split *out, ls_error *error) {
    char where[32];
    h5_object group;
    int64_t shards = 0;
    snprintf(where, sizeof where, "/%s", split);
    LS_TRY(h5_open_object(file, where, H5O_TYPE_GROUP, &group, error));
    int status = h5_get_integer(&group, "shards", 1, FORMAT_SHARD_LIMIT, &shards, error);
    if (status == LS_OK)
        status = h5_get_integer(&group, "images", 1, (int64_t)1 << 40, &out->images, error);
    if (status == LS_OK)
        status = read_some(&group, "warned", out->images, &out->warned, error);
    if (status == LS_OK && kind == CONTENT_ENCODED)
        status = read_some(&group, "converted", out->images, &out->converted, error);
    if (status == LS_OK && kind == CONTENT_ENCODED)
        status = read_some(&group, "left_out", (int64_t)1 << 40, &out->left_out, error);
    h5_close(&group);
    LS_TRY(status);
    out->shards = (int)shards;
    shard_lists lists = {0};
    status = read_lists(file, kind, split, shards, &lists, error);
    if (status == LS_OK)
        status = take_shards(file, split, &lists, out, error);
    lists_release(&lists);
    return status;
}

static int check_id(const manifest *self, const char *path, ls_error *error) {
    char computed[FORMAT_DIGEST_BYTES];
    LS_TRY(manifest_id(self, computed, error));
    if (strcmp(computed, self->id) != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: attribute @dataset_id: expected %s (from the shards' digests), found "
                       "'%s'",
                       path, computed, self->id);
    return LS_OK;
}

static int read_all(const h5_object *file, manifest *self, ls_error *error) {
    LS_TRY(read_attributes(file, self, error));
    for (int split = 0; split < SPLITS; split++)
        LS_TRY(read_split(file, self->kind, split_names[split], &self->splits[split], error));
    return check_id(self, file->path, error);
}

int manifest_read(manifest *self, const char *folder, ls_error *error) {
    char path[4096];
    h5_object file;
    memset(self, 0, sizeof *self);
    LS_TRY(path_join(path, sizeof path, folder, FORMAT_MANIFEST, error));
    LS_TRY(h5_open(path, &file, error));
    int status = read_all(&file, self, error);
    h5_close(&file);
    if (status != LS_OK)
        manifest_release(self);
    return status;
}

void manifest_release(manifest *self) {
    for (int split = 0; split < SPLITS; split++)
        free(self->splits[split].list);
    class_names_release(&self->classes);
    memset(self, 0, sizeof *self);
}
