/* What the ranks used. Collective. */
#ifndef LOCKSTEP_TRAIN_USAGE_H
#define LOCKSTEP_TRAIN_USAGE_H

#include "base/error.h"
#include "report/facts/records.h"

typedef struct trainer trainer;

/* The most memory that this process had resident counts from here on (not collective). */
void trainer_forget_peak_memory(void);
/* Of an epoch that took this rank `cpu_seconds` of its cores. */
int trainer_epoch_usage(trainer *self, double cpu_seconds, epoch_record *record, ls_error *error);
/* Of the run; fills ranks.usage. */
int trainer_gather_usage(trainer *self, ls_error *error);

#endif
