/* The optimizer of a run: a rule (optim/rule.h), the rate of each step (optim/schedule.h), and the
 * ranges of the flat arrays, in groups: tensors that decay and tensors that do not.
 *
 * An update is made at once, or, where the mode tells what is final as backward goes on, piece by
 * piece in a stream of its own: the bits are the same, for no element's update looks at another.
 * Loss scaling forbids it, and so does clipping by norm: there no update may begin before all
 * gradients were looked at. */
#ifndef LOCKSTEP_TRAIN_OPTIMIZER_H
#define LOCKSTEP_TRAIN_OPTIMIZER_H

#include "mode/mode.h"
#include "train/optim/rule.h"
#include "train/optim/schedule.h"

#define DECAY_CHOICES "all|weights"

typedef struct optimizer_settings {
    const char *rule; /* of rule_choices */
    double learning_rate, weight_decay;
    const char *decay;            /* of DECAY_CHOICES: what decays */
    double clip_norm, clip_value; /* of the gradients; 0: not clipped */
    double average;               /* decay of the parameters' moving average; 0: none is kept */
    own_settings own[RULE_COUNT]; /* each rule's options */
} optimizer_settings;

typedef struct optimizer {
    const optimizer_settings *settings;
    const optimizer_rule *rule;
    const void *own; /* the rule's settings */
    bool scaling;    /* dynamic loss scaling: fp16 */
    bool at_once;    /* this step's update is not made piece by piece */
    device *device;
    mode *mode;
    float *rates; /* device memory [rate_count] */
    int64_t rate_count;
    step_state *state; /* of the step that is going on */
    int64_t images;    /* its samples on this rank */
    bool advanced;     /* the state was moved on, and shown, by an update of this step */
    step_state *shown; /* pinned, or NULL: where a watcher sees the state (update_arguments) */
    parameter_range *ranges;
    int range_count;
    size_t held;         /* parameters that this rank holds: what a step updates */
    size_t settled;      /* elements that this step has updated, or begun to, on any rank */
    store_slice waiting; /* settled, and too few for a call; span.count 0: none */
    device_stream *waiting_stream;
    size_t *range_settled;   /* [range_count] the same, of each range */
    parameter_range *pieces; /* [range_count] of one call */
} optimizer;

/* Adds the options of the optimizer and of all rules to a list, whose settings hold
 * optimizer_settings at `offset`. */
int optimizer_add_options(option_groups *list, size_t offset, ls_error *error);

/* `settings` must outlive it. LS_BAD_INPUT where they do not fit together. */
int optimizer_create(optimizer *self, const optimizer_settings *settings, bool scaling,
                     ls_error *error);
/* Flat arrays it keeps beside parameters and gradients. */
int optimizer_moments(const optimizer *self);
static inline bool optimizer_clips_norm(const optimizer *self) {
    return self->settings->clip_norm > 0;
}
/* The weight decay, where there is any, is of all parameters. */
bool optimizer_decays_all(const optimizer *self);
/* Adds "clipped to norm 1 (so updated at once)", "clipped to values of 0.1", or nothing. */
void optimizer_describe_clipping(const optimizer *self, text_buffer *out);
/* The share of the last velocity in the next; NAN where the rule has none. */
double optimizer_momentum(const optimizer *self);
/* Before mode_create: what the mode must know of it. Updates may go into `update_stream`. */
void optimizer_describe(optimizer *self, device *device, device_stream *update_stream,
                        mode_settings *out);
/* After network_seal and mode_create; `rates` may be freed then. */
int optimizer_attach(optimizer *self, mode *mode, network *network, const graph *graph,
                     const rate_table *rates, ls_error *error);
/* A step on `images` samples of this rank begins, of batches of `state`: nothing of it is settled.
 */
void optimizer_begin(optimizer *self, step_state *state, int64_t images);
/* One update of the mode's parameters from its gradients, number state->step + 1 (device memory),
 * or, where it was made piece by piece, the wait for it in the mode's stream; with scaling, none
 * where a gradient is not finite on any rank. Then the state is moved on (ops.advance), by the last
 * update itself where the device can. */
int optimizer_update(optimizer *self, ls_error *error);
/* Where an average is kept, parameters and average change places: for an evaluation, and back. On
 * all ranks, between steps. */
int optimizer_exchange_average(optimizer *self, ls_error *error);
void optimizer_destroy(optimizer *self);

#endif
