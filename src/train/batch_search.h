/* The search for a batch: --batch-per-rank auto and auto:throughput, --accumulate auto. */
#ifndef LOCKSTEP_TRAIN_BATCH_SEARCH_H
#define LOCKSTEP_TRAIN_BATCH_SEARCH_H

#include "base/error.h"

#include <stdint.h>

typedef struct trainer trainer;

/* Where the batch is open (trainer.batch), finds it: by plans alone what fits on this rank, of all
 * ranks the least, then one real step of it. After the comm and the graph are there, before
 * anything else is taken. Collective. LS_BAD_INPUT where none fits. */
int trainer_find_batch(trainer *self, ls_error *error);

/* Of the numbers up to `most` and at most 1.5% below it the one that most powers of two divide
 * (up to 64), the largest of these: vectors, blocks of products and tensor cores come out even. */
int64_t batch_even(int64_t most);

/* The largest number of 0 .. most for which `load`, which grows with it, is at most 1: 0 where it
 * is for none; what lies within a 400th of it is not told apart. */
int batch_most_within(int64_t most,
                      int (*load)(void *context, int64_t number, double *out, ls_error *error),
                      void *context, int64_t *out, ls_error *error);

#endif
