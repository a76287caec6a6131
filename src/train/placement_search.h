/* --placement auto (ColossalAI's Gemini measures its first steps, too: mode/placement.h). */
#ifndef LOCKSTEP_TRAIN_PLACEMENT_SEARCH_H
#define LOCKSTEP_TRAIN_PLACEMENT_SEARCH_H

#include "base/error.h"

typedef struct trainer trainer;

/* Where it was asked for: two real steps on blank images with as little as can be on the device.
 * What they took beyond their plan is left free; the rest of the bound (--device-memory, else what
 * the device or this rank's share of the host has left) is the run's. After the batch was found.
 * Collective. LS_BAD_INPUT where not even the least fits. */
int trainer_find_placement(trainer *self, ls_error *error);

#endif
