/* What a split's batches come from. Where the device has memory of its own and the split fits into
 * it, the images lie there for the whole run and an epoch's order is all that is copied; else the
 * loader gathers each batch on the host. */
#ifndef LOCKSTEP_TRAIN_FEED_H
#define LOCKSTEP_TRAIN_FEED_H

#include "data/loader.h"
#include "mode/mode.h"

typedef struct feed_settings {
    device *device;
    device_stream *stream;
    int rank, size; /* whose share of each batch; size 0: this rank reads nothing */
    int64_t global_batch;
    uint64_t seed;
    bool training;     /* shuffled; a batch carries it */
    bool one_batch;    /* --ablate data: the first batch, held in memory, is every batch */
    const char *place; /* "auto", "device" or "host": where the images lie */
    const int *processing_units; /* for the loader's thread; borrowed until feed_open returns */
    int processing_unit_count;
} feed_settings;

#define FEED_PLACES "auto|device|host"

typedef struct feed {
    feed_settings settings;
    dataset *data;   /* opened; the feed closes it */
    int64_t batches; /* of an epoch */
    int64_t last;    /* images of the last one */
    loader *loader;  /* NULL: resident, or this rank reads nothing */
    /* Device memory where resident; else NULL. */
    uint8_t *images;
    int32_t *labels;
    int64_t *order;
    int64_t *host_order;   /* pinned */
    uint8_t *blank_images; /* host memory, for warm-up: zeros; with one_batch, that batch */
    int32_t *blank_labels;
    int64_t *blank_ids;
    /* Device memory: [0] this split's, [1] its epoch with a cursor that stays 0. */
    step_state *state;
    step_state *host_state; /* pinned, both: as last read or written */
    device_event *staged;   /* the last batch has left the loader's memory */
} feed;

/* Opens the split's shards; no images are read yet. */
int feed_find(feed *self, const char *folder, const char *split, int64_t global_batch,
              ls_error *error);
/* Loads the images and chooses where they lie. After feed_find and mode_create. */
int feed_open(feed *self, const feed_settings *settings, ls_error *error);
void feed_close(feed *self);

/* Samples in batch `index` (0, 1, ...). */
static inline int64_t feed_batch_images(const feed *self, int64_t index) {
    return index == self->batches - 1 ? self->last : self->settings.global_batch;
}

/* Epoch 1, 2, ...: state->epoch and state->cursor are set, the rest of the state stays. */
int feed_start_epoch(feed *self, int epoch, ls_error *error);
/* The next batch; the loader takes the previous one's memory back. */
int feed_next(feed *self, int64_t index, mode_batch *out, ls_error *error);
/* After the batch's copy to the device was put into `stream`: its memory may go back once this
 * point is passed. */
int feed_staged(feed *self, device_stream *stream, ls_error *error);
/* A batch of `global_count` for warm-up: whatever lies there, by the same pointers. */
void feed_blank(feed *self, int64_t global_count, mode_batch *out);

/* *self->host_state = *self->state, after all work so far. */
int feed_read_state(feed *self, ls_error *error);
/* The other way. */
int feed_write_state(feed *self, ls_error *error);

#endif
