/* A data set in HDF5 shards (data/README.md specifies the format), opened for reading: everything
 * that a reader relies on is checked when it is opened or first read. All HDF5 calls of a process
 * are made by one thread, the caller's: the loader reads what dataset_load put into memory. */
#ifndef LOCKSTEP_DATA_DATASET_H
#define LOCKSTEP_DATA_DATASET_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

typedef struct dataset_facts {
    int64_t images; /* in this split */
    int height, width, channels, classes;
    int shards;  /* of this split */
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

/* Opens DIR's manifest and every shard of the split and checks names, types, ranks, shapes, counts,
 * order, split, data set id, labels' range is checked on load. LS_BAD_INPUT names the file and
 * what differs. Cheap: reads no images. */
int dataset_open(const char *folder, const char *split, dataset **out, ls_error *error);

/* Reads all of the split into memory, checking each block's CRC-32C as it is read, and labels'
 * range: LS_BAD_INPUT names file, data set ("/images" or "/labels") and block. Refuses with
 * LS_FAILED, saying both sizes, when it cannot fit in the memory that is available. */
int dataset_load(dataset *self, ls_error *error);

/* "1.10.8": of the HDF5 library that is loaded, for the header. */
const char *dataset_hdf5_version(void);

void dataset_close(dataset *self); /* NULL is fine */

#endif
