/* Steps recorded into graphs of the device, replayed by one launch each. */
#ifndef LOCKSTEP_TRAIN_RECORDINGS_H
#define LOCKSTEP_TRAIN_RECORDINGS_H

#include "train/learner.h"

/* Of one global count and place of its batch. */
typedef struct step_recording {
    int64_t global_count;
    int place;
    device_graph *graph;
} step_recording;

enum { MAX_RECORDINGS = 2 * BATCH_PLACES }; /* the full and the last batch, in each place */

typedef struct recordings {
    bool records; /* steps of this run are recorded */
    int steps;    /* of `several`; 1: there is none */
    step_recording list[MAX_RECORDINGS];
    device_graph *several; /* steps on full batches, from one in place 0 on */
} recordings;

/* Records a step on this batch's size, in each of the `places` that batches lie in (input_places).
 */
int recordings_add(recordings *self, learner *learner, const input_batch *batch, int places,
                   ls_error *error);
/* That of the batch's size and place; NULL: none. */
device_graph *recordings_find(recordings *self, const input_batch *batch);
/* Records `steps` steps on full batches into one graph, which gives the host less to do: it makes
 * all batches behind the first itself, and the one that comes after it (input_record). */
int recordings_add_several(recordings *self, learner *learner, input *input, ls_error *error);
void recordings_forget(recordings *self, device *device);

#endif
