/* This attempt's row of attempts.csv, which rank 0 keeps; on other ranks every call does nothing.
 */
#ifndef LOCKSTEP_TRAIN_LEDGER_H
#define LOCKSTEP_TRAIN_LEDGER_H

#include "report/facts/records.h"
#include "report/run/attempts.h"

typedef struct trainer trainer;

typedef struct ledger {
    attempts *attempts;                                        /* NULL: not rank 0 */
    attempt_record row;                                        /* what does not change */
    double training_before, evaluation_before, blocked_before; /* of earlier attempts */
} ledger;

/* Once the run's folder is claimed. */
int ledger_open(trainer *self, const run_facts *facts, ls_error *error);
/* Before the first step: what was restored is known. */
void ledger_start(trainer *self);
/* Between steps and epochs: writes the row where it is a second old. */
void ledger_look(trainer *self);
/* A checkpoint is in place: who finds it gone shall know that it was there. */
void ledger_saved(trainer *self);
/* The last word: "finished", or what the run was told to end by. The run is whole without it: where
 * it cannot be written the log says so. */
int ledger_end(trainer *self, const char *why, ls_error *error);

#endif
