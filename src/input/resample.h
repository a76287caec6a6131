/* Bilinear resampling with a triangle that widens with the reduction, bit for bit as Pillow's
 * Image.resize(BILINEAR) computes it (src/libImaging/Resample.c there): weights of 22 bits, columns
 * and rows one after the other, each pass rounded to 8 bits. Which comes first changes a value by 1
 * at times. Pillow 13 takes rows first where they shrink, by more than twice what columns do;
 * Pillow before 13 took columns first. Rows of the source are handed over as they are decoded. */
#ifndef LOCKSTEP_INPUT_RESAMPLE_H
#define LOCKSTEP_INPUT_RESAMPLE_H

#include "base/error.h"
#include "input/resample_kernels.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One axis. Outputs [0, size) cover [from, from + extent) of the source's pixels [0, length), which
 * are all that counts; those in [first, first + count) are wanted. */
typedef struct resample_axis {
    int length;
    double from, extent;
    int size, first, count;
} resample_axis;

/* For each wanted output, which pixels of the source count, and how much (in 2^-22). */
typedef struct resample_taps {
    int outputs, most; /* most: pixels an output, an even number */
    int *first;        /* [outputs]; from `low` on */
    int *count;        /* [outputs] */
    int *weights;      /* [outputs, most]; 0 from count on */
    int low, high;     /* of the source, pixels that any output needs: [low, high) */
    size_t room;       /* outputs * most that there is memory for */
} resample_taps;

/* A thread's own; zero bytes before first use. Its memory grows with what it is given. */
typedef struct resampler {
    const resample_kernels *kernels; /* NULL: resample_start chooses */
    bool columns_first;              /* always, as Pillow before 13 */
    bool rows_first;                 /* of what is resampled now */
    resample_taps columns, rows;
    int32_t *pairs;   /* columns' weights, [outputs, most, 4]: each four times */
    uint8_t *kept;    /* rows low .. high: of the source, or with their columns resampled */
    uint8_t *between; /* RESAMPLE_ROWS rows of the source's width, and as many of the result's */
    size_t pairs_room, kept_room, between_room; /* bytes */
    size_t kept_stride, out_stride;             /* bytes a row */
    int arrived;                                /* rows in `kept` */
} resampler;

/* What is resampled next: then columns.low .. high and rows.low .. high are what it needs. */
int resample_start(resampler *self, const resample_axis *columns, const resample_axis *rows,
                   ls_error *error);

/* The next `count` rows, from rows.low on: pixels of 4 bytes (R, G, B, any), columns.low .. high of
 * each row and one pixel behind, `stride` bytes a row. */
void resample_push(resampler *self, const uint8_t *source, size_t stride, int count);

/* After the last row: out [rows, columns, 3], its columns in reverse where `mirrored`. */
void resample_finish(resampler *self, bool mirrored, uint8_t *out);

void resample_close(resampler *self);

#endif
