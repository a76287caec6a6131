/* The words of the on-disk format that writer and reader share; data/README.md specifies it. */
#ifndef LOCKSTEP_DATA_FORMAT_H
#define LOCKSTEP_DATA_FORMAT_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

enum {
    FORMAT_VERSION = 1,
    FORMAT_BLOCK_BYTES = 1 << 20,  /* of a CRC-32C; the last block of a data set may be shorter */
    FORMAT_DIGEST_BYTES = 65,      /* a SHA-256 in hex, with its terminator */
    FORMAT_SHARD_NAME_BYTES = 32,  /* "train-00000.h5" */
    FORMAT_CLASS_NAME_LIMIT = 255, /* bytes of a class name, without the terminator */
    FORMAT_CLASS_LIMIT = 1000000,
    FORMAT_SIDE_LIMIT = 16384,  /* pixels */
    FORMAT_SHARD_LIMIT = 100000 /* shards a split: the name has five digits */
};

#define FORMAT_MANIFEST "manifest.h5"

/* Splits in the order in which the data set id takes their shards. */
enum { SPLIT_TRAIN, SPLIT_TEST, SPLITS };
extern const char *const split_names[SPLITS];

/* Class names as HDF5 stores them: `count` strings of `width` bytes, padded with NUL, of which
 * each name has at least one. */
typedef struct class_names {
    int count;
    int width;
    char *text; /* [count * width], owned */
} class_names;

static inline const char *class_name(const class_names *self, int index) {
    return self->text + (size_t)index * (size_t)self->width;
}

/* Copies `count` names. Refuses none, too many, and (LS_BAD_INPUT, naming `where`) a name that is
 * empty, longer than FORMAT_CLASS_NAME_LIMIT or holds a control character. */
int class_names_set(class_names *self, const char *const *names, int count, const char *where,
                    ls_error *error);
/* What is written is UTF-8: LS_BAD_INPUT names the class whose name is in another encoding. */
int class_names_check_utf8(const class_names *self, const char *where, ls_error *error);
int class_names_equal(const class_names *a, const class_names *b);
void class_names_release(class_names *self);

typedef struct image_shape {
    int height, width, channels;
} image_shape;

static inline int64_t image_bytes(const image_shape *shape) {
    return (int64_t)shape->height * shape->width * shape->channels;
}

/* Everything that a shard says about itself beside its images and labels. */
typedef struct shard_header {
    const char *split;
    int64_t first;  /* index in the split of its first image */
    int64_t images; /* at least 1 */
    image_shape shape;
    const class_names *classes; /* not owned */
} shard_header;

/* "train-00007.h5" */
void shard_name(char out[FORMAT_SHARD_NAME_BYTES], const char *split, int index);

/* "FOLDER/NAME"; LS_BAD_INPUT where it is longer than a path may be. */
int path_join(char *out, size_t capacity, const char *folder, const char *name, ls_error *error);

#endif
