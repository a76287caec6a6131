/* What a run on GPUs needs beside the device itself. */
#ifndef LOCKSTEP_TRAIN_PLAN_CHOICES_H
#define LOCKSTEP_TRAIN_PLAN_CHOICES_H

#include "base/error.h"

#include <stddef.h>

typedef struct trainer trainer;

/* Two ranks on one GPU (by UUID) are an error without --share-gpu. */
int trainer_check_gpus(const trainer *self, ls_error *error);
/* The monitor of this rank's GPU, or of its cores, and its samples' way into gpu.csv or cpu.csv.
 * Collective. */
int trainer_open_monitor(trainer *self, ls_error *error);
int trainer_write_samples(trainer *self, ls_error *error);
/* Every rank's plans take what rank 0 measured: rank 0 prepares first, then all import. What is
 * prepared later (mode/factors.h) is chosen by no rank alone. */
int trainer_share_choices(trainer *self, ls_error *error);
/* Where rank 0 keeps its choices between runs; "" where there is no place for it. */
void trainer_plan_cache(const trainer *self, char *out, size_t capacity);

/* `status` of what allocates memory that grows with the batch: where it failed for want of a
 * device's memory, the text gains the largest batch that would fit. Returns the status. */
int trainer_fit(trainer *self, int status, ls_error *error);

#endif
