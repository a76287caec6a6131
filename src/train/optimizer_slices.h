/* The update of a slice of the flat arrays, and which slices wait for their neighbours (the
 * optimizer's own). */
#ifndef LOCKSTEP_TRAIN_OPTIMIZER_SLICES_H
#define LOCKSTEP_TRAIN_OPTIMIZER_SLICES_H

#include "train/optimizer.h"

/* Parameters, moments and packed copies of the slice; where it is the last of this step, the state
 * too where the device can (self->advanced). */
int optimizer_update_slice(optimizer *self, device_stream *stream, const store_slice *slice,
                           ls_error *error);
/* What was settled and was too small for a call. */
int optimizer_update_waiting(optimizer *self, ls_error *error);

/* mode_settings.settled, .settled_elsewhere, .settled_later and .updates; `context` is the
 * optimizer. */
int optimizer_settled(void *context, device_stream *stream, const store_slice *slice,
                      ls_error *error);
int optimizer_settled_elsewhere(void *context, device_stream *stream, const store_slice *slice,
                                ls_error *error);
void optimizer_settled_later(void *context, size_t count);
bool optimizer_updates(void *context);

#endif
