/* A shard of encoded images that is written while its files are read: no more of it than a block is
 * in memory, and it passes through the caches once. What it will hold is known before: its header
 * with the numbers of images and bytes. The result has the data sets and attributes of
 * shard_write(). */
#ifndef LOCKSTEP_DATA_SHARD_STREAM_H
#define LOCKSTEP_DATA_SHARD_STREAM_H

#include "data/digest.h"
#include "data/shard.h"

typedef struct shard_stream {
    const char *temporary, *path; /* not owned */
    shard_header header;
    int descriptor;
    int64_t place;   /* in the file, of /bytes */
    int64_t written; /* of them */
    uint32_t *crcs;  /* of their blocks, owned */
    sha256 digest;
} shard_stream;

/* Makes `temporary`, which must not exist, with room for header->bytes bytes, at least 1; messages
 * name `path`. Enters HDF5. On failure nothing is open. */
int shard_stream_begin(shard_stream *self, const char *temporary, const char *path,
                       const shard_header *header, ls_error *error);

/* The next bytes: a multiple of FORMAT_BLOCK_BYTES, or the last ones. Does not enter HDF5. */
int shard_stream_add(shard_stream *self, const uint8_t *bytes, int64_t count, ls_error *error);

/* All bytes are there: the other parts, as shard_write() takes them (values[PART_BYTES] is not
 * looked at), and the shard's SHA-256 into `hex`. Enters HDF5. */
int shard_stream_end(shard_stream *self, const void *const *values, char hex[FORMAT_DIGEST_BYTES],
                     ls_error *error);

/* At any moment after shard_stream_begin; the file stays as it is. */
void shard_stream_close(shard_stream *self);

#endif
