#include "base/atomic_file.h"
#include "data/digest.h"
#include "data/h5.h"
#include "data/manifest.h"

#include <stdlib.h>
#include <string.h>

int manifest_id(const manifest *self, char id[FORMAT_DIGEST_BYTES], ls_error *error) {
    sha256 digest;
    LS_TRY(sha256_start(&digest, error));
    for (int split = 0; split < SPLITS; split++)
        for (int index = 0; index < self->splits[split].shards; index++) {
            const manifest_shard *entry = &self->splits[split].list[index];
            sha256_add(&digest, entry->sha256, strlen(entry->sha256));
            sha256_add(&digest, "  ", 2);
            sha256_add(&digest, entry->name, strlen(entry->name));
            sha256_add(&digest, "\n", 1);
        }
    sha256_finish(&digest, id);
    return LS_OK;
}

static int put_counts(hid_t group, const char *name, const int64_t *counts, int shards) {
    hsize_t extent = (hsize_t)shards;
    hid_t set = h5_put_dataset(group, name, H5T_STD_I64LE, 1, &extent, H5T_NATIVE_INT64, counts);
    return set < 0 ? -1 : (int)h5_keep(H5Dclose(set));
}

static int put_shards(hid_t group, content_kind kind, const manifest_split *split, char *names,
                      char *digests, int64_t *counts) {
    for (int index = 0; index < split->shards; index++) {
        memcpy(names + (size_t)index * FORMAT_SHARD_NAME_BYTES, split->list[index].name,
               FORMAT_SHARD_NAME_BYTES);
        memcpy(digests + (size_t)index * 64, split->list[index].sha256, 64);
        counts[index] = split->list[index].images;
    }
    if (put_counts(group, "images", counts, split->shards) < 0)
        return -1;
    for (int index = 0; index < split->shards; index++)
        counts[index] = split->list[index].bytes;
    if (kind == CONTENT_ENCODED && put_counts(group, "bytes", counts, split->shards) < 0)
        return -1;
    if (h5_put_texts(group, "files", names, split->shards, FORMAT_SHARD_NAME_BYTES) < 0)
        return -1;
    return h5_put_texts(group, "sha256", digests, split->shards, 64);
}

static int put_split(hid_t file, content_kind kind, const char *name, const manifest_split *split) {
    hid_t creation = H5Pcreate(H5P_GROUP_CREATE);
    H5Pset_obj_track_times(creation, 0);
    hid_t group = H5Gcreate2(file, name, H5P_DEFAULT, creation, H5P_DEFAULT);
    H5Pclose(creation);
    if (group < 0 || h5_put_integer(group, "shards", split->shards) < 0 ||
        h5_put_integer(group, "images", split->images) < 0 ||
        (split->warned && h5_put_integer(group, "warned", split->warned) < 0) ||
        (split->converted && h5_put_integer(group, "converted", split->converted) < 0) ||
        (split->left_out && h5_put_integer(group, "left_out", split->left_out) < 0))
        return -1;
    size_t shards = (size_t)split->shards;
    char *names = calloc(shards, FORMAT_SHARD_NAME_BYTES);
    char *digests = calloc(shards, 64);
    int64_t *counts = calloc(shards, sizeof *counts);
    int status =
        names && digests && counts ? put_shards(group, kind, split, names, digests, counts) : -1;
    free(names);
    free(digests);
    free(counts);
    return status < 0 ? -1 : H5Gclose(group);
}

static int put_pixels(hid_t file, const image_shape *shape) {
    return h5_put_integer(file, "height", shape->height) < 0 ||
                   h5_put_integer(file, "width", shape->width) < 0 ||
                   h5_put_integer(file, "channels", shape->channels) < 0
               ? -1
               : 0;
}

static int put_encoded(hid_t file, const encoded_facts *facts) {
    return h5_put_text(file, "kind", content_names[CONTENT_ENCODED]) < 0 ||
                   h5_put_text(file, "exif", encoded_exif_word(facts)) < 0 ||
                   h5_put_text(file, "check", encoded_check_word(facts)) < 0 ||
                   h5_put_text(file, "order", encoded_order_word(facts)) < 0 ||
                   h5_put_integer(file, "seed", facts->seed) < 0 ||
                   h5_put_integer(file, "max_side", facts->max_side) < 0 ||
                   h5_put_integer(file, "quality", facts->quality) < 0
               ? -1
               : 0;
}

static int put_manifest(hid_t file, const manifest *self) {
    if (file < 0 || h5_put_text(file, "format", "lockstep manifest") < 0 ||
        h5_put_integer(file, "format_version", content_version(self->kind)) < 0 ||
        h5_put_text(file, "dataset_id", self->id) < 0 ||
        (self->kind == CONTENT_ENCODED ? put_encoded(file, &self->encoded)
                                       : put_pixels(file, &self->shape)) < 0 ||
        h5_put_names(file, "classes", &self->classes) < 0)
        return -1;
    for (int split = 0; split < SPLITS; split++)
        if (put_split(file, self->kind, split_names[split], &self->splits[split]) < 0)
            return -1;
    return H5Fclose(file);
}

int manifest_prepare(const manifest *self, const char *folder, atomic_file *out, ls_error *error) {
    char path[4096];
    LS_TRY(path_join(path, sizeof path, folder, FORMAT_MANIFEST, error));
    LS_TRY(atomic_file_begin(out, path, error));
    int status = put_manifest(h5_create(out->temporary), self) < 0
                     ? h5_fail(error, LS_FAILED, path, "write")
                     : atomic_file_sync(out, error);
    if (status != LS_OK)
        atomic_file_discard(out);
    return status;
}
