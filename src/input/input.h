/* Where batches come from: both splits of a data set, and the batch that is made while a step runs.
 * What a run holds of its data. */
#ifndef LOCKSTEP_INPUT_INPUT_H
#define LOCKSTEP_INPUT_INPUT_H

#include "base/option.h"
#include "input/ahead.h"
#include "input/feed.h"

typedef struct input {
    feed train, test;
    ahead ahead;      /* its stream is NULL where each step makes its own batch */
    input_batch next; /* of training: where `made`, the batch that comes next */
    bool joined;      /* it was made by the steps' stream's own work: nothing to wait for */
} input;

typedef struct input_choices {
    const char *folder;  /* --data; NULL: not given */
    const char *place;   /* one of FEED_PLACES */
    const char *augment; /* one of AUGMENTATION_CHOICES */
    jpegs_choices jpegs;
    double loader_threads; /* 0: auto */
    double mixup, cutmix;  /* alphas; 0: not done */
    uint64_t seed;
    bool one_batch; /* --ablate data */
} input_choices;

/* Samples that the memory of a batch needs behind its own (BATCH_BESIDE). */
static inline int input_beside(const input_choices *choices) {
    return choices->mixup > 0 || choices->cutmix > 0 ? BATCH_BESIDE : 0;
}

/* The options of a command whose settings hold an input_choices at `offset`; seed and one_batch are
 * the caller's. */
int input_add_options(option_groups *list, size_t offset, ls_error *error);
/* Those that evaluation alone has, too: how encoded images are read. */
int input_add_reading_options(option_groups *list, size_t offset, ls_error *error);
/* LS_BAD_INPUT without a folder. */
int input_check_options(const input_choices *choices, ls_error *error);

/* Opens both splits, which must have one shape; no samples are read yet. */
int input_find(input *self, const input_choices *choices, int64_t global_batch, ls_error *error);
/* Another global batch, before a split is opened. */
void input_set_batch(input *self, int64_t global_batch);
/* --augment, and what else of the choices decides which pixels a step sees. After input_find. */
void input_describe_augment(const input *self, const input_choices *choices, text_buffer *out);
/* What is subtracted from the values between 0 and 1 of each channel, and what they are divided by
 * then. After input_find. LS_BAD_INPUT names an option. */
int input_pixels(const input *self, const input_choices *choices, double mean[3], double std[3],
                 ls_error *error);
/* What that will take, before it does. After input_find. */
int input_plan_split(const input *self, const input_choices *choices, const feed_settings *settings,
                     bool training, feed_bytes *out, ls_error *error);
/* Loads a split; of its settings what is the split's own is filled in here. */
int input_open_split(input *self, const input_choices *choices, const feed_settings *settings,
                     bool training, ls_error *error);
/* Instead: training's, for blank batches alone (feed_open_blank); and back. */
int input_open_blank(input *self, const input_choices *choices, const feed_settings *settings,
                     ls_error *error);
void input_close_blank(input *self);
/* Batches may be made beside steps, where the device can. After both. */
int input_open_ahead(input *self, ls_error *error);
void input_close(input *self); /* zero bytes are fine */

/* Of the network that takes the samples. */
static inline const sample_facts *input_facts(const input *self) {
    return &self->train.data->facts;
}
/* Samples in the largest batch of training, over all ranks. */
static inline int64_t input_largest_batch(const input *self) {
    return feed_batch_samples(&self->train, 0);
}
static inline bool input_works_ahead(const input *self) {
    return self->ahead.stream != NULL;
}
/* The places that training's batches lie in, in turn: one where none is made beside a step. */
static inline int input_places(const input *self) {
    return input_works_ahead(self) ? BATCH_PLACES : 1;
}

/* Batch `index` of training's epoch: made ahead, or from the feed. */
int input_next(input *self, int64_t index, input_batch *out, ls_error *error);
/* It is in device memory, or on its way there in the steps' stream; a made one is waited for. */
int input_stage(input *self, const input_batch *batch, ls_error *error);
/* Where batches are made ahead: the steps' stream holds all that reads the batch before this. */
int input_step_begins(input *self, ls_error *error);
/* After a step was put into its stream: *out is batch `index`, to be made in *stream (mode_make),
 * and then input_looked_ahead. Only where input_works_ahead. */
int input_look_ahead(input *self, int64_t index, input_batch *out, device_stream **stream,
                     ls_error *error);
int input_looked_ahead(input *self, ls_error *error);

/* --- several steps on full batches in one recording: step `number` of it reads batch `number`, and
 * where batches are made ahead, the next one is made beside it. The recording moves through the
 * epoch by itself; it begins with a batch in place 0. */

/* Whether there can be such a recording: the samples lie on the device. */
static inline bool input_records(const input *self) {
    return self->train.order != NULL;
}
/* *here: what step `number` reads; *next, where input_works_ahead: to be made in *stream
 * (mode_make) before the step is put into its stream, and then input_recorded after it. `last`: of
 * the recording, of number + 1 steps. */
int input_record(input *self, int number, input_batch *here, input_batch *next,
                 device_stream **stream, ls_error *error);
int input_recorded(input *self, int number, bool last, ls_error *error);
/* Before and after a replay of `steps` steps from batch `index` on, which is `batch`. */
int input_replay(input *self, const input_batch *batch, ls_error *error);
int input_replayed(input *self, int64_t index, int steps, ls_error *error);

#endif
