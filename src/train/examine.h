/* The doctor's quick checks where a run starts, once device and cores are known. */
#ifndef LOCKSTEP_TRAIN_EXAMINE_H
#define LOCKSTEP_TRAIN_EXAMINE_H

#include "base/error.h"

typedef struct trainer trainer;

/* A failure of theirs ends the run. Collective. */
int trainer_examine(trainer *self, ls_error *error);
/* Rank 0: lines about them below the header. */
int trainer_note_examination(trainer *self, ls_error *error);

#endif
