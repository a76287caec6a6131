/* What a checkpoint's arrays are, and which part file has which range of each. Arrays are flat
 * logical arrays of floats ("parameters", "moment1"); tensors are named ranges of them. */
#ifndef LOCKSTEP_CHECKPOINT_LAYOUT_H
#define LOCKSTEP_CHECKPOINT_LAYOUT_H

#include "base/error.h"

#include <stdint.h>

enum {
    CHECKPOINT_MOST_ARRAYS = 16,
    CHECKPOINT_MOST_DIMS = 4,
    CHECKPOINT_NAME_BYTES = 96,
    CHECKPOINT_FILE_BYTES = 32, /* "part-00000.h5" */
    CHECKPOINT_MOST_PARTS = 100000
};

typedef struct checkpoint_array {
    char name[32];
    int64_t length; /* elements */
} checkpoint_array;

/* Elements [first, first + count) of array number `array`. */
typedef struct checkpoint_range {
    int64_t array, first, count;
} checkpoint_range;

/* In C order: dims[0] varies slowest. */
typedef struct checkpoint_tensor {
    char name[CHECKPOINT_NAME_BYTES]; /* as PyTorch has it: "conv1.weight" */
    int dims[CHECKPOINT_MOST_DIMS], dim_count;
    checkpoint_range range;
} checkpoint_tensor;

/* What each of `size` ranks holds: lists of ranges, ascending in (array, first), apart. */
typedef struct checkpoint_holding {
    const checkpoint_range *ranges;
    int count;
} checkpoint_holding;

/* The ranges that rank `rank` writes: what several ranks hold is shared out evenly among them, so
 * that every element that is held is written once. The caller frees *out [*count]; the same answer
 * on every rank. */
int checkpoint_share(const checkpoint_holding *held, int size, int rank, checkpoint_range **out,
                     int *count, ls_error *error);

/* LS_FAILED where these ranges (any order) do not cover each array exactly once: "array 'moment1':
 * element 17 is in no part". */
int checkpoint_check_cover(const checkpoint_array *arrays, int array_count,
                           const checkpoint_range *ranges, int range_count, ls_error *error);

#endif
