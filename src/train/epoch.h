/* One epoch of training, and of testing: totals over all ranks. */
#ifndef LOCKSTEP_TRAIN_EPOCH_H
#define LOCKSTEP_TRAIN_EPOCH_H

#include "base/error.h"
#include "report/facts/records.h"

typedef struct trainer trainer;

/* cpu_seconds: this rank's, in the training time. *stop: the run is to end in the middle of it
 * (saver.h); the record is then not filled in. */
int trainer_train_epoch(trainer *self, epoch_record *record, double *cpu_seconds, bool *stop,
                        ls_error *error);
/* The loss and accuracy of the test images, into the record. *stop: it was given up, for the run is
 * to end. */
int trainer_evaluate(trainer *self, epoch_record *record, bool *stop, ls_error *error);

#endif
