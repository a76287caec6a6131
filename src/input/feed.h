/* What a split's batches come from. Where the device has memory of its own and the split fits into
 * it, the samples lie there for the whole run, and the device makes an epoch's order itself; else
 * the loader fetches each batch on the host. */
#ifndef LOCKSTEP_INPUT_FEED_H
#define LOCKSTEP_INPUT_FEED_H

#include "input/batch.h"
#include "input/loader.h"

typedef struct feed_settings {
    device *device;
    device_stream *stream;
    int rank, size; /* whose share of each batch; size 0: this rank reads nothing */
    int64_t global_batch;
    uint64_t seed;
    bool training;     /* shuffled; a batch carries it */
    bool one_batch;    /* --ablate data: the first batch, held in memory, is every batch */
    const char *place; /* "auto", "device" or "host": where the samples lie */
    const int *processing_units; /* for the loader's thread; borrowed until feed_open returns */
    int processing_unit_count;
    int loader_threads; /* of samples that are slow to fetch; 0: searched */
    mixing mixing;      /* of training's samples with each other */
} feed_settings;

#define FEED_PLACES "auto|device|host"

typedef struct feed {
    feed_settings settings;
    samples *data;   /* opened; the feed closes it */
    int64_t batches; /* of an epoch */
    int64_t last;    /* samples of the last one */
    loader *loader;  /* NULL: resident, or this rank reads nothing */
    batch_maker maker;
    /* Device memory where resident; else NULL. */
    uint8_t *resident;
    int32_t *labels;
    int64_t *order;
    uint8_t *blank_samples; /* host memory, for warm-up: zeros; with one_batch, that batch */
    int32_t *blank_labels;
    int64_t *blank_ids;
    /* Device memory: [0] this split's, which steps move on; [1] its epoch, with a cursor that is
     * `reached` and stands still while steps run: what makes batches beside them reads that. */
    step_state *state;
    int64_t reached;        /* as what was put into streams so far leaves it */
    step_state *host_state; /* pinned, both: as last read or written */
    device_event *staged;   /* the last batch has left the loader's memory */
} feed;

/* Opens the split; no samples are read yet. */
int feed_find(feed *self, const char *folder, const char *split, const sample_choices *choices,
              bool training, int64_t global_batch, ls_error *error);
/* Another global batch than feed_find's, before feed_open. */
void feed_set_batch(feed *self, int64_t global_batch);
/* Bytes that feed_open of such settings will take, before it does: of the host's memory, and of a
 * device's own. After feed_find. */
typedef struct feed_bytes {
    size_t host, device;
} feed_bytes;
/* Of batches of `most` samples of so many bytes that are read ahead and on their way. `host`: the
 * device computes on the host's memory. */
feed_bytes feed_ahead_bytes(size_t sample_bytes, size_t most, bool host);
int feed_plan_memory(const feed *self, const feed_settings *settings, feed_bytes *out,
                     ls_error *error);
/* Loads the samples and chooses where they lie. After feed_find. */
int feed_open(feed *self, const feed_settings *settings, ls_error *error);
void feed_close(feed *self);
/* Instead of feed_open: only what feed_blank's batches need, no samples are loaded; and back, to
 * what it was before either. */
int feed_open_blank(feed *self, const feed_settings *settings, ls_error *error);
void feed_close_blank(feed *self);

/* Samples in batch `index` (0, 1, ...). */
static inline int64_t feed_batch_samples(const feed *self, int64_t index) {
    return index == self->batches - 1 ? self->last : self->settings.global_batch;
}

/* Epoch 1, 2, ... from its batch `first` on (0: from its start), in stream order: state->epoch and
 * state->cursor are set, the rest of the state stays; from its start nothing is copied or waited
 * for. */
int feed_start_epoch(feed *self, int epoch, int64_t first, ls_error *error);
/* The next batch; the loader takes the previous one's memory back. */
int feed_next(feed *self, int64_t index, input_batch *out, ls_error *error);
/* After the batch's copy to the device was put into `stream`: its memory may go back once this
 * point is passed. */
int feed_staged(feed *self, device_stream *stream, ls_error *error);
/* A batch of `global_count` for warm-up: whatever lies there, by the same pointers. */
void feed_blank(feed *self, int64_t global_count, input_batch *out);
/* The same batch, as it may be made while the cursor is not there yet. */
input_batch feed_ahead(const feed *self, const input_batch *next);

/* --- batches of a recording, by their place behind the batch that a replay begins with. Only where
 * the samples are resident (`order`). */

/* Full batch `number` (0, 1, ...) from there on, as a step of the recording reads it; as it is made
 * beside the step before, it is feed_ahead's. */
void feed_recorded(const feed *self, int64_t number, input_batch *out);
/* state[1] comes to the batch that was put into streams next (`to`: its `first`), in `stream`. */
int feed_reach(feed *self, device_stream *stream, int64_t to, ls_error *error);
/* In a recording: state[1] moves on by `batches` full ones; the host says so at each replay. */
int feed_record_reach(feed *self, device_stream *stream, int64_t batches, ls_error *error);
void feed_replayed(feed *self, int64_t batches);

/* *self->host_state = *self->state, after all work so far. */
int feed_read_state(feed *self, ls_error *error);
/* The other way. */
int feed_write_state(feed *self, ls_error *error);

#endif
