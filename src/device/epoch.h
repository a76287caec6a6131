/* The begin of an epoch, as the device is told of it: ops.begin_epoch. C and C++: kernels include
 * it. */
#ifndef LOCKSTEP_DEVICE_EPOCH_H
#define LOCKSTEP_DEVICE_EPOCH_H

#include "base/permutation.h"
#include "device/step_state.h"

#include <stdbool.h>

/* Positions in a batch. */
typedef struct epoch_part {
    int64_t first, count;
} epoch_part;

typedef struct epoch_arguments {
    int64_t epoch;
    step_state *states; /* device memory [state_count]: their epoch is set, their cursor is 0 */
    int state_count;
    /* Device memory: the ids of this rank's samples, batch after batch; NULL: none is wanted.
     * Sample k of its part of batch b is number b * batch + part.first + k of the epoch's order.
     * `same`: every batch is samples 0, 1, ... instead. */
    int64_t *order;
    bool shuffled, same; /* not shuffled: the order is the samples' own */
    permutation shuffle;
    int64_t batches, batch;     /* in an epoch; samples in each but the last */
    epoch_part part, last_part; /* of this rank, in each batch but the last, and in that */
} epoch_arguments;

static inline int64_t epoch_order_count(const epoch_arguments *self) {
    return self->order ? (self->batches - 1) * self->part.count + self->last_part.count : 0;
}

#endif
