/* Images of one size as uint8 pixels, in HDF5 shards (data/dataset.h). A sample is fetched as it
 * lies there; the device normalises and augments it. */
#ifndef LOCKSTEP_INPUT_PIXELS_H
#define LOCKSTEP_INPUT_PIXELS_H

#include "data/dataset.h"
#include "input/samples.h"

typedef struct pixels {
    samples base;
    dataset *data;        /* NULL: samples come from elsewhere, and are only made */
    float scale, shift;   /* of the network's input: pixel * scale + shift */
    augmentation augment; /* all zero: none */
} pixels;

/* Pixels of images [height, width, channels] that no data set holds, for what makes batches of its
 * own: to [-1, 1], not augmented. Nothing to close. */
pixels pixels_of(int height, int width, int channels, int classes);
/* Of an open data set, which stays the caller's. */
pixels pixels_of_dataset(dataset *data);

#endif
