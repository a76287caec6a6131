/* The manifest: which shards make up a data set. It is written last, so a folder with a manifest
 * is a whole data set. */
#ifndef LOCKSTEP_DATA_MANIFEST_H
#define LOCKSTEP_DATA_MANIFEST_H

#include "base/atomic_file.h"
#include "base/error.h"
#include "data/format.h"

#include <stdint.h>

typedef struct manifest_shard {
    char name[FORMAT_SHARD_NAME_BYTES];
    char sha256[FORMAT_DIGEST_BYTES];
    int64_t images;
} manifest_shard;

typedef struct manifest_split {
    int shards;
    int64_t images;       /* the shards' sum */
    int64_t warned;       /* of them: files that break their format where no pixel depends on it */
    manifest_shard *list; /* [shards], owned */
} manifest_split;

typedef struct manifest {
    image_shape shape;
    class_names classes;
    manifest_split splits[SPLITS];
    char id[FORMAT_DIGEST_BYTES];
} manifest;

/* The data set id: SHA-256 over the lines "SHA256  NAME\n" of all shards, in the splits' order. */
int manifest_id(const manifest *self, char id[FORMAT_DIGEST_BYTES], ls_error *error);

/* Writes FOLDER/manifest.h5 under its temporary name, on the disk; atomic_file_commit(out) makes it
 * the manifest. */
int manifest_prepare(const manifest *self, const char *folder, atomic_file *out, ls_error *error);

/* Reads and checks it: types, limits, sums, the shards' names and order, the id. LS_BAD_INPUT
 * names the file and what differs; *self is then released. */
int manifest_read(manifest *self, const char *folder, ls_error *error);

void manifest_release(manifest *self);

#endif
