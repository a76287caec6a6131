/* What a sharded run would have been as ddp. */
#ifndef LOCKSTEP_TRAIN_VERDICT_H
#define LOCKSTEP_TRAIN_VERDICT_H

#include "base/error.h"

typedef struct trainer trainer;

/* totals.ddp_*: of a run whose mode shards over several ranks, else NAN. After training, the totals
 * of its epochs added up. Collective. */
int trainer_judge_sharding(trainer *self, ls_error *error);

#endif
