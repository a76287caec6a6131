/* A network with plans for every size of batch that a rank will see. The graph is there. */
#ifndef LOCKSTEP_TRAIN_PREPARE_H
#define LOCKSTEP_TRAIN_PREPARE_H

#include "train/learner.h"

typedef struct trainer trainer;

/* learner.network, without plans. */
int trainer_make_network(trainer *self, ls_error *error);
/* With those that the run will use. Collective where the device chooses algorithms. */
int trainer_prepare_network(trainer *self, ls_error *error);
/* With those of this rank's largest batch, to try it: not collective, so algorithms are each
 * rank's own choice; `times`: they are timed, else the first offers. */
int trainer_prepare_alone(trainer *self, bool times, ls_error *error);

/* Plans for one batch of rank `of`, without lanes. */
int trainer_prepare_batch(const trainer *self, network *network, int of, int64_t global_count,
                          ls_error *error);

#endif
