/* Pieces that several modes are made of (the mode room's own). */
#ifndef LOCKSTEP_MODE_PARTS_H
#define LOCKSTEP_MODE_PARTS_H

#include "mode/buckets.h"
#include "mode/mode.h"
#include "mode/outstanding.h"
#include "mode/store_memory.h"

/* Parameters, gradients and buffers are held whole on this rank: mode_interface.setup's first act,
 * followed by what the rank updates. Collective. */
int mode_hold_whole(mode *self, ls_error *error);

/* For mode_interface.plan_memory: what mode_hold_whole holds; and what the optimizer keeps of so
 * many elements that are updated, and averaged, here (memory_plan.c). */
void mode_plan_whole(const mode_settings *settings, size_t bytes[MEMORY_KINDS]);
void mode_plan_updates(const mode_settings *settings, size_t updated, size_t averaged,
                       size_t bytes[MEMORY_KINDS]);
/* What every mode has beside: the network's, sums of squares for a norm and, where the mode has
 * them, the sum of micro-batches and packed copies of all parameters. */
void mode_plan_rest(const mode_settings *settings, bool adds_up, bool packs,
                    size_t bytes[MEMORY_KINDS]);
/* Rows of gradients and buffers: one a lane of this rank. */
size_t mode_plan_rows(const mode_settings *settings);

/* Parameters are gathered for each use. */
static inline bool mode_gathers(const mode *self) {
    return self->is->gathers && self->is->gathers(&self->settings);
}

/* Packed copies of the parameters as they lie here now; where they are gathered they are made
 * then. */
int mode_pack(mode *self, ls_error *error);

/* Where a unit's block of a kind that is held whole lies. */
static inline float *mode_unit(const mode *self, store_kind kind, int unit) {
    const graph_unit *block = &self->settings.graph->units[unit];
    return store_at(self->store, kind, block->first, block->count);
}

/* Hooks on what lies whole on this rank. */
int mode_whole_buffers(void *mode, float **out, ls_error *error);
int mode_whole_parameters(void *mode, int unit, const float **out, ls_error *error);
int mode_whole_gradient(void *mode, int unit, float **out, ls_error *error);

/* Elements of a sample at the network's ends. */
int64_t mode_input_elements(const mode *self);
int mode_classes(const mode *self);

/* A part of what was loaded -> `out`, in the network's type and its input's layout (batch_make). */
int mode_make_part(mode *self, device_stream *stream, const input_batch *batch, share part,
                   void *out, ls_error *error);
/* Its cross-entropy, and in training the gradient: mode_interface.loss, with totals of its own. */
int mode_loss_of_part(mode *self, const input_batch *batch, share part, pass *pass,
                      loss_totals *totals, ls_error *error);

/* The loss of these logits of the batch: what of the arguments depends on the batch is filled in.
 */
int mode_compute_loss(mode *self, const input_batch *batch, loss_arguments *arguments,
                      ls_error *error);

/* Where what only the update reads may be waited for. */
device_stream *mode_update_stream(const mode *self);
/* settings.settled, with update_stream put behind what `stream` holds now; where nobody asks,
 * nothing. */
int mode_settle(mode *self, size_t first, size_t count, ls_error *error);
int mode_settle_slice(mode *self, const store_slice *slice, ls_error *error);
int mode_settle_unit(mode *self, int unit, ls_error *error);
/* Of a unit whose gradient alone is held, in memory of its own: it lies at gradients + first %
 * STORE_GRAIN. */
int mode_settle_slot(mode *self, int unit, float *gradients, ls_error *error);

/* begin and loss of a rank that computes what it loaded. */
int mode_begin_own_batch(mode *self, const input_batch *batch, pass *pass, ls_error *error);
int mode_loss_own_batch(mode *self, const input_batch *batch, pass *pass, ls_error *error);

/* mode_interface.agree_overflow where nothing else is outstanding. */
int mode_agree_overflow(mode *self, outstanding *works, int32_t *overflow, ls_error *error);

/* mode_interface.add_up of what a group holds in parts: of the groups' copies the first counts. */
int mode_add_up_parts(mode *self, outstanding *works, double *values, size_t count,
                      ls_error *error);

/* Into mode->exchange, for the header. */
void mode_describe_buckets(mode *self, const bucket *buckets, int count);

/* The loader reads this rank's own share. */
void mode_loader_own_share(const mode_settings *settings, int *rank, int *size);
void mode_nothing_to_publish(mode *self);

#endif
