/* What a run would hold, without the run: its device is opened and its plans are prepared, no
 * memory is taken. `lockstep forecast --memory`. */
#ifndef LOCKSTEP_TRAIN_MEMORY_FORECAST_H
#define LOCKSTEP_TRAIN_MEMORY_FORECAST_H

#include "train/memory.h"
#include "train/train.h"

typedef struct memory_question {
    const train_settings *settings; /* model, device, mode, optimizer, batch */
    int ranks, side, classes;       /* of images of 3 channels */
    int ranks_per_node;             /* 0: all on one node */
} memory_question;

/* Of rank 0, with the largest share of a batch that any rank has. Of the loader what it reads
 * ahead; samples that are kept in memory are the data set's matter. *host: the device computes on
 * the host's memory. LS_BAD_INPUT, LS_BAD_LAUNCH as a run would have it. */
int train_forecast_memory(const memory_question *question, memory_plan *out, bool *host,
                          ls_error *error);

#endif
