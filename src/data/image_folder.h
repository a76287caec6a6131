/* A folder of images, listed: a folder a class, in ImageFolder's order (classes sorted by the bytes
 * of their names, then files by theirs). */
#ifndef LOCKSTEP_DATA_IMAGE_FOLDER_H
#define LOCKSTEP_DATA_IMAGE_FOLDER_H

#include "base/error.h"
#include "data/format.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct image_folder_choices {
    double test_fraction; /* where the folder has no test/ or val/ of its own */
    uint64_t seed;        /* of the choice of test images */
    bool png;             /* files named .png are listed, too */
    bool facts;           /* sizes and times are asked for */
    bool skip_bad;        /* what is no image by its name is left out, not refused */
} image_folder_choices;

typedef struct image_entry {
    int32_t label;
    char *name;             /* in its class's folder; owned */
    int64_t bytes, changed; /* where facts were asked for: st_size, st_mtim in ns; else 0 */
} image_entry;

typedef struct image_list {
    int64_t count, capacity;
    image_entry *entries; /* [count], owned */
    char folder[4096];    /* that holds the classes' folders */
} image_list;

typedef struct image_folder {
    class_names classes;
    image_list splits[SPLITS];
    char ignored[256]; /* names beside train/ that are not read, as "a, b"; "" for none */
    /* Where skip_bad: "PATH\tREASON\n" of each file that is no image by its name; owned, or NULL */
    char *left_out;
    int64_t left_out_count;
} image_folder;

/* Lists FOLDER/CLASS/NAME.jpg, or FOLDER/train/CLASS/NAME.jpg with one of FOLDER/test/, val/,
 * valid/ and validation/ beside it. LS_BAD_INPUT names what is unexpected: a class without images,
 * or that the training images lack; a file among the classes, a folder or another kind of file
 * among images; a link that leads nowhere. */
int image_folder_open(image_folder *self, const char *folder, const image_folder_choices *choices,
                      ls_error *error);

/* The path of image `index` of a split; LS_BAD_INPUT where it is longer than a path may be. */
int image_folder_path(const image_folder *self, int split, int64_t index, char *out,
                      size_t capacity, ls_error *error);

void image_folder_close(image_folder *self);

#endif
