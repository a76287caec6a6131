/* The memory of a run: what each rank will hold, planned before any of it is taken, and what it
 * holds. */
#ifndef LOCKSTEP_TRAIN_MEMORY_H
#define LOCKSTEP_TRAIN_MEMORY_H

#include "input/input.h"
#include "mode/mode.h"

typedef struct trainer trainer;

/* In bytes. On a device of the host all of it is this process's memory. */
typedef struct memory_plan {
    size_t kinds[MEMORY_KINDS];       /* mode_plan_memory's: of the device */
    feed_bytes loader;                /* of both splits */
    size_t checkpoint, device_copies; /* a copy of the state on the host, and beside it on a GPU */
    size_t program;                   /* resident now: the program, its libraries, its plans */
} memory_plan;

/* Of this process now, by proc(5); 0 where it is not told. */
size_t memory_resident_bytes(void);

/* Into trainer.memory: after the network's plans were prepared, before its arena and the mode's
 * memory are taken. `settings`: of the mode to be made. */
int trainer_plan_memory(trainer *self, const mode_settings *settings, ls_error *error);
/* Of --device-memory what is the mode's: the rest of the plan is beside it; 0: no bound. */
size_t memory_of_mode(const trainer *self);
/* Of them, those in the device's memory: what --device-memory bounds. */
size_t memory_device_bytes(const memory_plan *plan);
/* What the process will have resident; of the plan in trainer.memory. */
size_t memory_host_bytes(const trainer *self);
/* LS_BAD_INPUT where the plan is beyond --device-memory. After trainer_plan_memory. */
int trainer_check_memory(const trainer *self, ls_error *error);
/* What is held, of all ranks, into ranks.facts. Collective. */
int trainer_gather_memory(trainer *self, ls_error *error);
/* A line of the log a kind: planned, and held. On the rank that writes. */
int trainer_note_memory(const trainer *self, ls_error *error);

#endif
