/* Going on from a checkpoint. */
#ifndef LOCKSTEP_TRAIN_RESUME_H
#define LOCKSTEP_TRAIN_RESUME_H

#include "checkpoint/checkpoint.h"
#include "device/step_state.h"
#include "report/facts/records.h"

typedef struct trainer trainer;

typedef struct resumed {
    bool on;         /* this run goes on from `from` */
    bool over;       /* which is its end: there is nothing to do */
    checkpoint from; /* open until it was restored */
    char where[4400];
    epoch_record *epochs; /* [epoch_count] that ended */
    int epoch_count;
    bool other_ranks;    /* some of them on another number of ranks: there is no ranks.csv of all */
    int64_t attempt;     /* 1: the run's first */
    text_buffer notes;   /* lines for the log, once there is one */
    loss_totals *totals; /* [lane_count] of the epoch that goes on; NULL: it begins */
} resumed;

/* Finds what --resume means, checks every byte of it, and that this run may go on from it; what is
 * damaged is named, and the one before it taken. After the ranks have agreed on their options.
 * Collective. */
int trainer_find_checkpoint(trainer *self, ls_error *error);

/* fetch.c: rank 0: the checkpoint that --resume s3://... names, in the folder of checkpoints; its
 * path. */
int trainer_fetch_checkpoint(const trainer *self, char *path, size_t capacity, ls_error *error);

/* allow.c: LS_BAD_INPUT names the first option in which this run is another than the saved one, and
 * may not be. */
int trainer_compare_saved(trainer *self, ls_error *error);

/* restore.c: after the warm-up, the saved state in the place of the initial one. */
int trainer_restore(trainer *self, ls_error *error);

void resumed_close(resumed *self); /* zero bytes are fine */

#endif
