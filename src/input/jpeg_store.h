/* The encoded images of a split, as bytes at bounded memory. Where all of them fit into it they are
 * read once, shard after shard; else blocks of neighbouring images are read as they are needed,
 * each in one stretch, and kept, the least recently used of them make room; or, where images are
 * asked for in no order that blocks serve, each is read by itself. */
#ifndef LOCKSTEP_INPUT_JPEG_STORE_H
#define LOCKSTEP_INPUT_JPEG_STORE_H

#include "data/encoded.h"

typedef struct jpeg_store jpeg_store;

typedef struct jpeg_store_settings {
    int64_t memory; /* bytes, at most, but for what `readers` hold where each image is read alone */
    int64_t block;  /* images a block; 0: each by itself */
    int64_t kept;   /* blocks that are in use at once, at least */
} jpeg_store_settings;

/* LS_BAD_INPUT where memory does not hold so many blocks, with both sizes. The images outlive it.
 */
int jpeg_store_open(encoded *images, const jpeg_store_settings *settings, jpeg_store **out,
                    ls_error *error);
void jpeg_store_close(jpeg_store *self); /* NULL is fine */

/* An image's bytes, until jpeg_store_give. Any thread. */
typedef struct jpeg_store_bytes {
    const uint8_t *bytes;
    size_t count;
    int64_t block; /* the store's own */
    uint8_t *own;
} jpeg_store_bytes;
int jpeg_store_take(jpeg_store *self, int64_t image, jpeg_store_bytes *out, ls_error *error);
void jpeg_store_give(jpeg_store *self, jpeg_store_bytes *taken);

/* These will be asked for: the system may begin to read. A block, or an image where each is read by
 * itself; nothing where all are in memory. */
void jpeg_store_expect(jpeg_store *self, int64_t number);

/* Bytes of memory for images, at most; of which blocks were read from files. */
int64_t jpeg_store_memory(const jpeg_store *self);

#endif
