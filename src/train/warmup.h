/* Before the first step that counts. */
#ifndef LOCKSTEP_TRAIN_WARMUP_H
#define LOCKSTEP_TRAIN_WARMUP_H

#include "base/error.h"

#include <stddef.h>

typedef struct trainer trainer;

/* Every plan and collective once or twice on scratch state; then the real initial parameters. */
int trainer_warm_up(trainer *self, ls_error *error);
/* What it does, for comparisons: "2 steps of each batch size". */
void trainer_describe_warmup(char *out, size_t capacity);

#endif
