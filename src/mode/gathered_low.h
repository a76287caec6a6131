/* Of gathered parameters (gathered.h) those that are computed with in the low type alone: weights
 * whose packed copy is the array rounded, in order. They travel as that copy, in half the bytes: a
 * rank rounds its part and gathers into the copies themselves. The rest of a group (biases, norms,
 * weights that a library wants in another order) travels in fp32 beside it. An element is rounded
 * before it travels where it was after it: the bits are the same. */
#ifndef LOCKSTEP_MODE_GATHERED_LOW_H
#define LOCKSTEP_MODE_GATHERED_LOW_H

#include "mode/mode.h"
#include "mode/outstanding.h"
#include "mode/shards.h"
#include "mode/unit_groups.h"

typedef struct gathered_low {
    const mode_settings *settings;
    const unit_groups *groups;
    const shards *shards;
    dtype type;
    bool *is_low;         /* [records]; of none: the members below are NULL */
    size_t *low, *rest;   /* [groups]: elements of each kind */
    int64_t *low_lengths; /* [groups][ranks of a shard group]: of each rank's part */
    int64_t *rest_lengths;
    size_t most_low, most_rest; /* of a group */
} gathered_low;

/* What a slot holds for it: memory of the comm's, or NULL. */
typedef struct gathered_low_slot {
    void *low;   /* the low records of a group, one after the other */
    float *rest; /* the others, likewise */
    comm_work work;
} gathered_low_slot;

/* LS_FAILED: no memory. What is borrowed outlives it. */
int gathered_low_create(const mode_settings *settings, const unit_groups *groups,
                        const shards *shards, gathered_low *out, ls_error *error);
void gathered_low_destroy(gathered_low *self); /* of zeroes is fine */

/* True where the group has such weights. */
static inline bool gathered_low_has(const gathered_low *self, int group) {
    return self->is_low && self->low[group] > 0;
}

/* This rank's part of the group is on its way in `slot`; the rest's work is `*rest`. Collective. */
int gathered_low_begin(const gathered_low *self, store *store, outstanding *works, int group,
                       gathered_low_slot *slot, comm_work *rest, ls_error *error);
/* Both have arrived: the rest goes to its place in `memory`, where the group's first element lies
 * first; its copies are made there. */
int gathered_low_arrive(const gathered_low *self, outstanding *works, int group,
                        gathered_low_slot *slot, float *memory, ls_error *error);
/* Where the copy of a low record lies in a slot that has its group. */
void *gathered_low_copy(const gathered_low *self, int group, int record,
                        const gathered_low_slot *slot);

#endif
