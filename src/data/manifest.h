/* The manifest: which shards make up a data set. It is written last, so a folder with a manifest
 * is a whole data set. */
#ifndef LOCKSTEP_DATA_MANIFEST_H
#define LOCKSTEP_DATA_MANIFEST_H

#include "base/atomic_file.h"
#include "base/error.h"
#include "data/format.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct manifest_shard {
    char name[FORMAT_SHARD_NAME_BYTES];
    char sha256[FORMAT_DIGEST_BYTES];
    int64_t images;
    int64_t bytes; /* encoded: of its files */
} manifest_shard;

typedef struct manifest_split {
    int shards;
    int64_t images;       /* the shards' sum */
    int64_t warned;       /* of them: files that break their format where no pixel depends on it */
    int64_t converted;    /* encoded; of them: files that became another JPEG */
    int64_t left_out;     /* encoded: files that are not among them */
    int64_t bytes;        /* encoded: the shards' sum */
    manifest_shard *list; /* [shards], owned */
} manifest_split;

/* How an encoded data set was made. */
typedef struct encoded_facts {
    bool exif_applied; /* else pixels are as they are stored */
    int max_side;      /* the longer side is at most this; 0: as it was */
    int quality;       /* of what was encoded again, 1 to 100 */
    bool decoded;      /* every file was decoded as it was packed; else its header was read */
    bool shuffled; /* training images lie in a permutation that depends on `seed`; else sorted */
    int64_t seed;
} encoded_facts;

typedef struct manifest {
    content_kind kind;
    image_shape shape;     /* pixels */
    encoded_facts encoded; /* encoded */
    class_names classes;
    manifest_split splits[SPLITS];
    char id[FORMAT_DIGEST_BYTES];
} manifest;

/* Its words in a manifest: "stored" or "applied", "header" or "decode", "sorted" or "shuffled". */
static inline const char *encoded_exif_word(const encoded_facts *self) {
    return self->exif_applied ? "applied" : "stored";
}
static inline const char *encoded_check_word(const encoded_facts *self) {
    return self->decoded ? "decode" : "header";
}
static inline const char *encoded_order_word(const encoded_facts *self) {
    return self->shuffled ? "shuffled" : "sorted";
}

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
