/* A global batch as this rank has it, from the feed to the mode. What a mode needs of it stands
 * first; where its samples lie is the room's own, and batch_make brings any part of them to where
 * the mode wants them. */
#ifndef LOCKSTEP_INPUT_BATCH_H
#define LOCKSTEP_INPUT_BATCH_H

#include "device/mixing.h"
#include "input/loader.h"

enum { BATCH_PLACES = 2 }; /* batches that exist on the device at once: one is read, one is made */

/* Makes batches of one kind of samples on one device: staging memory where the device addresses no
 * host memory, and the labels of what was made. */
typedef struct batch_maker {
    device *device;
    const samples *samples;
    int64_t most;    /* samples of this rank in a batch, at most */
    int32_t *labels; /* device memory [BATCH_PLACES, most] */
    /* Device memory [most], which lies still, so that a recorded step finds the next batch there;
     * NULL where the device addresses host memory. */
    uint8_t *staged_samples;
    int32_t *staged_labels;
    int64_t *staged_ids;
    /* Where training's samples are mixed: of what was made the partners' labels and the weights,
     * [BATCH_PLACES, most] both; else NULL. */
    mixing mixing;
    int32_t *other_labels;
    float *weights;
} batch_maker;

typedef struct input_batch {
    int64_t global_count;
    int loaded; /* samples of it that this rank has; 0 where its loader reads nothing */
    bool training;
    step_state *state; /* device memory: training's or evaluation's */
    int place;         /* which of the network's inputs, and of the labels: 0 or 1 */
    bool made;         /* it lies there: nothing to make */

    const batch_maker *maker;
    sample_place from; /* host memory is valid until the next batch is asked for */
    int64_t position;  /* of the first loaded sample in the global batch */
    int64_t first;     /* its place in from.order, counted from the epoch's start */
} input_batch;

int batch_maker_open(batch_maker *self, device *device, const samples *samples, int64_t most,
                     ls_error *error);
/* Training's batches are mixed from now on. LS_BAD_INPUT where the device mixes none. */
int batch_maker_mix(batch_maker *self, const mixing *how, ls_error *error);
void batch_maker_close(batch_maker *self); /* zero bytes are fine */

/* Samples that a mixed batch's memory has room for behind its own. */
enum { BATCH_BESIDE = LOADER_PARTNERS };

/* The labels of its place: device memory [loaded], once it was made. */
int32_t *batch_labels(const input_batch *self);
/* Of its mixed targets, likewise (loss_arguments); NULL where nothing is mixed. */
int32_t *batch_other_labels(const input_batch *self);
float *batch_weights(const input_batch *self);

/* Copies a batch in host memory to the device, in stream order; nothing where it is there. The
 * host memory may be given back once the stream has passed this point. */
int batch_stage(const input_batch *self, device_stream *stream, ls_error *error);

/* A staged batch's samples [part.first, part.first + part.count), into `out` [count, ...], which is
 * device memory in `layout` and `type`, and their labels into batch_labels + part.first. A mixed
 * batch's are mixed then, with their partners, wherever these are; of `out` BATCH_BESIDE samples
 * more are written. */
int batch_make(const input_batch *self, device_stream *stream, share part, tensor_layout layout,
               dtype type, void *out, ls_error *error);

#endif
