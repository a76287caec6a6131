/* Pieces that several modes are made of (the mode room's own). */
#ifndef LOCKSTEP_MODE_PARTS_H
#define LOCKSTEP_MODE_PARTS_H

#include "mode/mode.h"

/* Hooks on parameters and gradients that lie whole on this rank. */
int mode_whole_parameters(void *mode, int unit, const float **out, ls_error *error);
int mode_whole_gradient(void *mode, int unit, float **out, ls_error *error);

/* The labels of the batch's place. */
static inline int32_t *mode_labels(const mode *self, const mode_batch *batch) {
    return self->labels + (size_t)batch->place * (size_t)self->settings.global_batch;
}

/* mode_stage, in `stream`. */
int mode_stage_in(mode *self, device_stream *stream, const mode_batch *batch, ls_error *error);
/* Of the rows of all of this rank's lanes. */
static inline size_t mode_gradient_bytes(const mode *self) {
    size_t gaps = (size_t)(self->lane_count - 1) * self->lane_stride;
    return (gaps + self->settings.graph->parameter_count) * sizeof(float);
}

/* uint8 images and labels of the batch -> `out` (input layout) and mode_labels. */
int mode_make_batch(mode *self, device_stream *stream, const mode_batch *batch, void *out,
                    ls_error *error);

/* ahead.c: makes and frees what it needs; where nothing is made ahead, nothing. */
int mode_ahead_open(mode *self, ls_error *error);
void mode_ahead_close(mode *self);

/* The same of a part of what was loaded: its labels to mode_labels + part.first. */
int mode_make_part(mode *self, device_stream *stream, const mode_batch *batch, share part,
                   void *out, ls_error *error);
/* Its cross-entropy, and in training the gradient: mode_interface.loss, with totals of its own. */
int mode_loss_of_part(mode *self, const mode_batch *batch, share part, pass *pass,
                      loss_totals *totals, ls_error *error);

/* Where what only the update reads may be waited for. */
device_stream *mode_update_stream(const mode *self);
/* settings.settled, with update_stream put behind what `stream` holds now; where nobody asks,
 * nothing. */
int mode_settle(mode *self, size_t first, size_t count, ls_error *error);
int mode_settle_unit(mode *self, int unit, ls_error *error);

/* begin and loss of a rank that computes what it loaded. */
int mode_begin_own_batch(mode *self, const mode_batch *batch, pass *pass, ls_error *error);
int mode_loss_own_batch(mode *self, const mode_batch *batch, pass *pass, ls_error *error);

/* The loader reads this rank's own share. */
void mode_loader_own_share(const mode_settings *settings, int *rank, int *size);
bool mode_updates_everywhere(const mode *self);
void mode_nothing_to_publish(mode *self);

#endif
