/* The images of an encoded data set (data/README.md): JPEG files as they are. The index of a split
 * (where each file lies, its label and size) is held in memory, 32 bytes an image; the files are
 * read as they are asked for, by any thread. */
#ifndef LOCKSTEP_DATA_ENCODED_H
#define LOCKSTEP_DATA_ENCODED_H

#include "base/error.h"
#include "data/dataset.h"

#include <stdint.h>

/* An image of the split. Its pixels are three channels once it is decoded: a file may be grey. */
typedef struct encoded_image {
    int64_t offset; /* of its file in its shard's bytes */
    int64_t bytes;  /* at least 1 */
    int32_t label;
    int32_t height, width; /* of the file, as it is stored */
    uint32_t crc;          /* CRC-32C of the file's bytes */
} encoded_image;

typedef struct encoded_shard {
    int64_t first, images; /* of the split */
    int64_t bytes;         /* of all its files; they lie one after the other, without gaps */
} encoded_shard;

typedef struct encoded encoded;

/* Reads the index of every shard of an open data set, with the checks of shard_read(). `data` stays
 * the caller's, and open until encoded_close(). HDF5 is used here, and by nothing else here.
 * LS_BAD_INPUT where the data set holds pixels, or a shard is damaged; LS_FAILED without memory. */
int encoded_open(const dataset *data, encoded **out, ls_error *error);

int64_t encoded_count(const encoded *self);
/* index in [0, encoded_count()). The shard that it lies in: encoded_shard_of(). */
const encoded_image *encoded_at(const encoded *self, int64_t index);

int encoded_shards(const encoded *self);
const encoded_shard *encoded_shard_at(const encoded *self, int shard);
int encoded_shard_of(const encoded *self, int64_t index); /* by bisection */

/* The largest file of the split, in bytes, and the largest run of `count` images that begins at a
 * multiple of `count` inside its shard: what a reader's buffers must hold. */
int64_t encoded_largest_bytes(const encoded *self);
int64_t encoded_largest_run_bytes(const encoded *self, int64_t count);

/* Reads the files of images [first, first + count), which must lie in one shard, into `out`, one
 * after the other as in the shard: their summed `bytes`, file i at offset(i) - offset(first). One
 * pread(2) (more where the system cuts it); each file's CRC-32C is checked. Any number of threads
 * at once. LS_BAD_INPUT names shard and image where the bytes are not those recorded; LS_FAILED
 * where the system cannot read. */
int encoded_read(encoded *self, int64_t first, int64_t count, uint8_t *out, ls_error *error);

/* Asks the system to read the files of these images ahead (posix_fadvise): returns at once. */
void encoded_expect(encoded *self, int64_t first, int64_t count);

void encoded_close(encoded *self); /* NULL is fine */

#endif
