/* The words of the on-disk format that writer and reader share; data/README.md specifies it. */
#ifndef LOCKSTEP_DATA_FORMAT_H
#define LOCKSTEP_DATA_FORMAT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    FORMAT_VERSION = 1,            /* of pixels */
    FORMAT_VERSION_ENCODED = 2,    /* adds @kind; a reader of version 1 refuses it by its number */
    FORMAT_BLOCK_BYTES = 1 << 20,  /* of a CRC-32C; the last block of a data set may be shorter */
    FORMAT_DIGEST_BYTES = 65,      /* a SHA-256 in hex, with its terminator */
    FORMAT_SHARD_NAME_BYTES = 32,  /* "train-00000.h5" */
    FORMAT_CLASS_NAME_LIMIT = 255, /* bytes of a class name, without the terminator */
    FORMAT_CLASS_LIMIT = 1000000,
    FORMAT_SIDE_LIMIT = 16384,      /* pixels */
    FORMAT_JPEG_SIDE_LIMIT = 65500, /* libjpeg's */
    FORMAT_SHARD_LIMIT = 100000     /* shards a split: the name has five digits */
};

#define FORMAT_MANIFEST "manifest.h5"

/* What the shards of a data set hold: pixels of one size, or JPEG files of any, as they are. */
typedef enum content_kind { CONTENT_PIXELS, CONTENT_ENCODED, CONTENT_KINDS } content_kind;
extern const char *const content_names[CONTENT_KINDS]; /* "pixels", "encoded" */

static inline int content_version(content_kind kind) {
    return kind == CONTENT_ENCODED ? FORMAT_VERSION_ENCODED : FORMAT_VERSION;
}

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
int class_names_copy(class_names *to, const class_names *from, ls_error *error);
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
    content_kind kind;
    const char *split;
    int64_t images;             /* at least 1 */
    int64_t first;              /* pixels: index in the split of its first image */
    image_shape shape;          /* pixels */
    int64_t number;             /* encoded: which shard of its split, from 0 */
    int64_t bytes;              /* encoded: of all its files together */
    const class_names *classes; /* not owned */
} shard_header;

/* The data sets of a shard, in the order in which its digest takes them. */
enum {
    PART_IMAGES = 0, /* pixels: uint8 [images, h, w, c] */
    PART_BYTES = 0,  /* encoded: uint8 [bytes] */
    PART_LABELS,     /* int32 [images] */
    PART_OFFSETS,    /* encoded: int64 [images + 1], where each file begins in PART_BYTES */
    PART_SIZES,      /* encoded: int32 [images, 2], height and width */
    PART_CRCS,       /* encoded: uint32 [images], CRC-32C of each file's bytes */
    MOST_PARTS
};

static inline int shard_parts(content_kind kind) {
    return kind == CONTENT_ENCODED ? MOST_PARTS : PART_LABELS + 1;
}

typedef struct part_form {
    char name[12];    /* "/images" */
    int value_bytes;  /* 1: uint8; 8: int64; 4: int32, or uint32 where `is_unsigned` */
    bool is_unsigned; /* of 4 bytes */
    int rank;
    int64_t extent[4];
} part_form;

/* What part `index` of a shard with this header is. */
part_form shard_part(const shard_header *header, int index);
/* The product of its extents; what a hostile file says of more than this many stays at it. */
#define MOST_PART_VALUES ((int64_t)1 << 56)
int64_t part_values(const part_form *form);
static inline int64_t part_bytes(const part_form *form) {
    return part_values(form) * form->value_bytes;
}

/* "train-00007.h5" */
void shard_name(char out[FORMAT_SHARD_NAME_BYTES], const char *split, int index);

/* "FOLDER/NAME"; LS_BAD_INPUT where it is longer than a path may be. */
int path_join(char *out, size_t capacity, const char *folder, const char *name, ls_error *error);

#endif
