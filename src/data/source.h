/* Where images come from: one struct of function pointers a kind of source. */
#ifndef LOCKSTEP_DATA_SOURCE_H
#define LOCKSTEP_DATA_SOURCE_H

#include "base/error.h"
#include "data/format.h"

#include <stdint.h>

typedef struct source source;

typedef struct source_interface {
    const char *name;
    /* Converts images [first, first + count) of a split into images [count, h, w, c] and labels
     * [count]; adds to *warned how many of them come from a file that breaks its format where no
     * pixel depends on it. Called by several threads at once. LS_BAD_INPUT names the file. */
    int (*fill)(const source *self, int split, int64_t first, int64_t count, uint8_t *images,
                int32_t *labels, int64_t *warned, ls_error *error);
    void (*close)(source *self);
} source_interface;

struct source {
    const source_interface *is;
    image_shape shape;
    class_names classes;
    int64_t images[SPLITS];
    char ignored[256]; /* names in its folder that are not packed, as "a, b"; "" for none */
};

/* CIFAR-10's binary version (https://www.cs.toronto.edu/~kriz/cifar.html): data_batch_1.bin to
 * data_batch_5.bin, test_batch.bin and batches.meta.txt in FOLDER or its cifar-10-batches-bin/.
 * Every file's size and every label is checked. */
int source_cifar10_open(const char *folder, source **out, ls_error *error);

typedef struct image_folder_settings {
    int size;             /* side of the square that images become, in pixels */
    double test_fraction; /* where the folder has no test/ or val/ of its own */
    uint64_t seed;        /* of the choice of test images */
} image_folder_settings;

/* FOLDER/CLASS/NAME.jpg, or FOLDER/train/CLASS/NAME.jpg with one of FOLDER/test/, val/, valid/ and
 * validation/ beside it. An orientation in EXIF is not applied: pixels are as they are stored. */
int source_images_open(const char *folder, const image_folder_settings *settings, source **out,
                       ls_error *error);

typedef struct synthetic_settings {
    int64_t images, test_images;
    int classes, size;
    uint64_t seed;
} synthetic_settings;

/* Generated images (source_synthetic.c says how): the same bytes for the same settings
 * everywhere. */
int source_synthetic_open(const synthetic_settings *settings, source **out, ls_error *error);

void source_close(source *self); /* NULL is fine */

#endif
