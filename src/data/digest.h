/* Checksums of the format: a CRC-32C a block, which a reader checks as it reads, and a SHA-256 a
 * shard, from which the data set id is made. */
#ifndef LOCKSTEP_DATA_DIGEST_H
#define LOCKSTEP_DATA_DIGEST_H

#include "base/crc32c.h"
#include "base/error.h"
#include "data/format.h"

#include <stddef.h>
#include <stdint.h>

static inline int64_t crc_blocks(int64_t bytes) {
    return (bytes + FORMAT_BLOCK_BYTES - 1) / FORMAT_BLOCK_BYTES;
}

/* One CRC a block of `bytes` into out[crc_blocks(length)]. */
void crc_fill(const void *bytes, int64_t length, uint32_t *out);

/* The first block whose CRC is not the expected one, or -1. */
int64_t crc_first_difference(const void *bytes, int64_t length, const uint32_t *expected);

/* SHA-256 (libcrypto), fed in pieces. */
typedef struct sha256 {
    void *context;
} sha256;

int sha256_start(sha256 *self, ls_error *error);
void sha256_add(sha256 *self, const void *bytes, size_t length);
void sha256_finish(sha256 *self, char hex[FORMAT_DIGEST_BYTES]); /* and releases */

/* Starts a shard's digest with its header in the canonical text of data/README.md; the values of
 * its parts follow, in their order. */
int shard_digest_start(sha256 *self, const shard_header *header, ls_error *error);

/* A part's values, little-endian, whatever this machine's order. */
void shard_digest_add(sha256 *self, const part_form *form, const void *values);

/* All of it: values[shard_parts(kind)]. */
int shard_digest(const shard_header *header, const void *const *values,
                 char hex[FORMAT_DIGEST_BYTES], ls_error *error);

#endif
