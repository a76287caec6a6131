/* The samples of a split, of some kind. A kind of data is one file that ends with its data_kind,
 * and a line in samples.c: how a split is opened, how a sample gets into a slot of host memory
 * (where decoding goes on, in the loader's thread), and how fetched samples become the network's
 * input (on the device). Everything else of the room knows samples by number and size alone. */
#ifndef LOCKSTEP_INPUT_SAMPLES_H
#define LOCKSTEP_INPUT_SAMPLES_H

#include "base/share.h"
#include "device/ops.h"
#include "input/jpegs.h"
#include "input/sampler.h"

typedef struct samples samples;

/* What the user chose of data; a kind checks what concerns it. */
typedef struct sample_choices {
    const char *augment; /* one of AUGMENTATION_CHOICES; of the training split */
    uint64_t seed;
    jpegs_choices jpegs;
} sample_choices;

typedef struct sample_facts {
    int64_t samples;
    int height, width, channels; /* of the network's input */
    int classes;
    size_t bytes;          /* of a fetched sample */
    int longer_side;       /* of encoded images as they are stored, their mean; 0: pixels */
    char id[65];           /* hex SHA-256 of the data set: equal ids, equal data */
    sampler_blocks blocks; /* of its order where it is shuffled */
} sample_facts;

/* Where a batch's fetched samples lie: host memory, or device memory with `order`. */
typedef struct sample_place {
    const void *samples;   /* [count or split, facts.bytes] */
    const int32_t *labels; /* as many */
    /* Device memory: sample k is number order[state->cursor + k], which is its id too. NULL:
     * sample k, with id ids[k]. */
    const int64_t *order;
    const int64_t *ids; /* NULL: all 0 */
    const step_state *state;
} sample_place;

/* Where they go, in device memory. */
typedef struct sample_target {
    tensor_layout layout;
    dtype type;
    void *out;       /* [count, h, w, c] in `layout` */
    int32_t *labels; /* [count] */
} sample_target;

typedef struct data_kind {
    const char *name;
    /* True where the folder holds this kind. */
    bool (*recognises)(const char *folder);
    /* Cheap: reads no sample. The kind allocates *out. `training`: of the training split. */
    int (*open)(const char *folder, const char *split, const sample_choices *choices, bool training,
                samples **out, ls_error *error);
    void (*close)(samples *self);
    /* Bytes of host memory that load will take, before it does. */
    size_t (*load_bytes)(const samples *self);
    /* Before the first fetch. */
    int (*load)(samples *self, ls_error *error);
    /* Sample `id` of an epoch into out [facts.bytes], and its label. Any thread. */
    int (*fetch)(const samples *self, int epoch, int64_t id, void *out, int32_t *label,
                 ls_error *error);
    /* These positions of an epoch's order come next: what is slow to reach may be sent for. Any
     * thread, of any batch; no promise. NULL: nothing to do. */
    void (*expect)(const samples *self, const sampler *order, int64_t position, int64_t count);
    bool slow; /* a fetch takes long enough for threads to share a batch */
    /* After load: all samples as fetch gives them in every epoch, [samples, bytes] with [samples]
     * labels in host memory; a device may keep them. NULL: there is no such thing. */
    const void *(*whole)(const samples *self, const int32_t **labels);
    /* `count` of them -> the network's input, in stream order. */
    int (*make)(const samples *self, device *device, device_stream *stream,
                const sample_place *from, int count, const sample_target *to, ls_error *error);
} data_kind;

/* The first member of a kind's own struct. */
struct samples {
    const data_kind *is;
    sample_facts facts;
};

int samples_open(const char *folder, const char *split, const sample_choices *choices,
                 bool training, samples **out, ls_error *error);
void samples_close(samples *self); /* NULL is fine */

/* For kinds whose samples are bytes [h, w, c]: make_batch's arguments but for scale, shift and
 * augmentation, which are 0. */
static inline batch_arguments samples_batch(const samples *self, const sample_place *from,
                                            int count, const sample_target *to) {
    return (batch_arguments){.images = from->samples,
                             .labels = from->labels,
                             .ids = from->ids,
                             .order = from->order,
                             .state = from->state,
                             .count = count,
                             .height = self->facts.height,
                             .width = self->facts.width,
                             .channels = self->facts.channels,
                             .layout = to->layout,
                             .type = to->type,
                             .out = to->out,
                             .out_labels = to->labels};
}

/* The order of an epoch of them. */
static inline void samples_order(const samples *self, uint64_t seed, int epoch, bool shuffled,
                                 sampler *out) {
    if (shuffled && self->facts.blocks.window > 0)
        sampler_start_blocks(out, self->facts.samples, seed, epoch, self->facts.blocks);
    else
        sampler_start(out, self->facts.samples, seed, epoch, shuffled);
}

#endif
