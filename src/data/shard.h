/* One shard file: written whole, opened with every fact checked, read with every block checked. */
#ifndef LOCKSTEP_DATA_SHARD_H
#define LOCKSTEP_DATA_SHARD_H

#include "base/error.h"
#include "data/format.h"
#include "data/h5.h"

#include <stdint.h>

/* Writes a shard to `temporary` (which must not exist) and closes it; messages name `path`, its
 * final name. LS_FAILED where the disk is full, say. */
int shard_write(const char *temporary, const char *path, const shard_header *header,
                const char *sha256, const uint8_t *images, const int32_t *labels, ls_error *error);

typedef struct shard {
    char path[4096];
    char split[16];
    shard_header header; /* `split` and `classes` point into this struct */
    class_names classes;
    char sha256[FORMAT_DIGEST_BYTES];
    h5_object file, images, labels;
    uint32_t *image_crcs, *label_crcs;
} shard;

/* Opens and checks format, attributes, types, ranks, shapes and counts; reads no images. On
 * failure (LS_BAD_INPUT, naming the file and what differs) nothing stays open. */
int shard_open(shard *self, const char *path, ls_error *error);

/* Reads images [n, h, w, c] and labels [n] into place, checks each block's CRC-32C and that every
 * label is one of the classes. */
int shard_read(const shard *self, uint8_t *images, int32_t *labels, ls_error *error);

void shard_close(shard *self);

#endif
