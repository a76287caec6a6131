/* A data set in HDF5 shards (data/README.md specifies the format), opened for reading: everything
 * that a reader relies on is checked when it is opened or first read. All HDF5 calls of a process
 * are made by one thread, the caller's: the loader reads what dataset_load put into memory. */
#ifndef LOCKSTEP_DATA_DATASET_H
#define LOCKSTEP_DATA_DATASET_H

#include "base/error.h"
#include "data/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct dataset_facts {
    content_kind kind;
    int64_t images;                       /* in this split */
    int height, width, channels, classes; /* encoded: 0, 0 and 3: each image has its own size */
    int64_t bytes;                        /* encoded: of all JPEG files of this split */
    bool exif_applied;                    /* encoded: else pixels are as they are stored */
    int shards;                           /* of this split */
    char id[65]; /* hex SHA-256 over the manifest's shard digests: the data set */
} dataset_facts;

typedef struct dataset {
    dataset_facts facts;
    char folder[4096];
    char split[16];                /* "train", "test" */
    uint8_t *images;               /* [images, h, w, c] after dataset_load; else NULL */
    int32_t *labels;               /* [images] */
    struct dataset_shards *shards; /* the reader's own */
} dataset;

/* What FOLDER's data set holds, by its manifest alone: false where there is none that can be read;
 * who opens it then is told why. */
bool dataset_holds(const char *folder, content_kind kind);

/* LS_BAD_INPUT, saying what the folder holds and how one of `kind` is packed, where it is of the
 * other kind. */
int dataset_require(const dataset *self, content_kind kind, ls_error *error);

/* Opens DIR's manifest and every shard of the split and checks names, types, ranks, shapes, counts,
 * order, split, data set id, labels' range is checked on load. LS_BAD_INPUT names the file and
 * what differs. Cheap: reads no images. */
int dataset_open(const char *folder, const char *split, dataset **out, ls_error *error);

/* Pixels: reads all of the split into memory, checking each block's CRC-32C as it is read, and
 * labels' range: LS_BAD_INPUT names file, data set ("/images" or "/labels") and block. Refuses with
 * LS_FAILED, saying both sizes, when it cannot fit in the memory that is available. LS_BAD_INPUT
 * for an encoded data set: see encoded.h. */
int dataset_load(dataset *self, ls_error *error);

/* Encoded: calls `take` with each shard of the split in order, open and compared with the
 * manifest, and the index in the split of its first image. Stops at a failure. */
struct shard;
typedef int (*dataset_visit)(void *context, const struct shard *opened, int number, int64_t first,
                             ls_error *error);
int dataset_each_shard(const dataset *self, dataset_visit visit, void *context, ls_error *error);

/* "1.10.8": of the HDF5 library that is loaded, for the header. */
const char *dataset_hdf5_version(void);

void dataset_close(dataset *self); /* NULL is fine */

#endif
