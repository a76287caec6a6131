/* What an epoch consumed: joules of all ranks' GPUs and of all their hosts' CPU packages, each
 * counted once however many ranks are on it (monitor/monitor.h). NAN: not known for all of it. */
#ifndef LOCKSTEP_TRAIN_ENERGY_H
#define LOCKSTEP_TRAIN_ENERGY_H

#include "monitor/monitor.h"

typedef struct trainer trainer;

/* Of the epoch that goes on. */
typedef struct epoch_energy {
    monitor_energy before;  /* of this rank, when its training began here */
    monitor_energy earlier; /* of all ranks: what earlier attempts at this epoch consumed */
} epoch_energy;

/* Before its clock starts. */
void energy_start(trainer *self);
/* Of all ranks, earlier attempts included; up to the monitor's last reading. Collective. */
int energy_so_far(trainer *self, monitor_energy *out, ls_error *error);

#endif
