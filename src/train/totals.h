/* What the epochs of a run add up to. */
#ifndef LOCKSTEP_TRAIN_TOTALS_H
#define LOCKSTEP_TRAIN_TOTALS_H

#include "report/facts/records.h"

typedef struct trainer trainer;

/* An epoch that ended, into the totals; also one of an earlier attempt. */
void trainer_add_epoch(trainer *self, epoch_record *record);

#endif
