/* One shard file: written whole, opened with every fact checked, read with every block checked.
 * Which data sets ("parts") a shard of each kind has: shard_part() of format.h. */
#ifndef LOCKSTEP_DATA_SHARD_H
#define LOCKSTEP_DATA_SHARD_H

#include "base/error.h"
#include "data/format.h"
#include "data/h5.h"

#include <stdint.h>

/* Writes a shard to `temporary` (which must not exist) and closes it; messages name `path`, its
 * final name. values[shard_parts(header->kind)], each as its part_form says, in this machine's
 * types. LS_FAILED where the disk is full, say. */
int shard_write(const char *temporary, const char *path, const shard_header *header,
                const char *sha256, const void *const *values, ls_error *error);

typedef struct shard {
    char path[4096];
    char split[16];
    shard_header header; /* `split` and `classes` point into this struct */
    class_names classes;
    char sha256[FORMAT_DIGEST_BYTES];
    h5_object file, parts[MOST_PARTS];
    part_form forms[MOST_PARTS];
    uint32_t *crcs[MOST_PARTS]; /* of each part's blocks, owned */
} shard;

/* Opens and checks format, attributes, types, ranks, shapes and counts; reads no images. On
 * failure (LS_BAD_INPUT, naming the file and what differs) nothing stays open. */
int shard_open(shard *self, const char *path, ls_error *error);

/* Reads all of a part, part_bytes(&self->forms[part]) bytes, into `out`, and checks each block's
 * CRC-32C; then what it says: that each label is one of the classes, that offsets grow from 0 to
 * the bytes there are, that sizes are a JPEG's. */
int shard_read(const shard *self, int part, void *out, ls_error *error);

/* Where a part's values begin in the file: they lie there in one piece, so that any thread may
 * read them without HDF5. */
int shard_place(const shard *self, int part, int64_t *out, ls_error *error);

void shard_close(shard *self);

#endif
