/* How much memory a rank may take: what --device-memory or the device leave it, and on the host its
 * share of what control groups and the machine have left. */
#ifndef LOCKSTEP_TRAIN_MEMORY_ROOM_H
#define LOCKSTEP_TRAIN_MEMORY_ROOM_H

#include "base/error.h"

#include <stddef.h>

typedef struct trainer trainer;

typedef struct memory_room {
    double device; /* bytes of the device's memory that it may hold; INFINITY: no bound */
    double host; /* bytes that its process may have resident, as memory_proportional_bytes counts */
    double reserve;                   /* of them, left by a plan for what no plan has */
    char device_by[96], host_by[320]; /* whose bounds these are */
} memory_room;

/* Of this process, with its share of what others have mapped, too (proc(5), smaps_rollup). */
double memory_proportional_bytes(void);
/* As things are now, so before anything is taken. Collective. */
int trainer_memory_room(trainer *self, memory_room *out, ls_error *error);
/* What trainer.memory, a plan, takes of it: above 1 it does not fit. Local. *by: of which bound. */
double trainer_memory_load(const trainer *self, const memory_room *room, const char **by);

#endif
