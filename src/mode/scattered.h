/* Gradients that ranks keep in parts. Backward writes those of a group of units
 * (mode/unit_groups.h) into a slot, in memory of the comm's; the last one announced, the slot is
 * reduced over the ranks, each of which comes to its part of the sum, beside the backward of the
 * next group; and when that slot is wanted again, or the step ends, the part is waited for, goes to
 * where this rank holds it, and is settled: updated at once where nothing stands against it, while
 * backward goes on. Where it is, no gradient is held at all.
 *
 * With lanes a slot has a row for each of this rank's, and the sum is the tree's (comm/tree.h).
 *
 * Micro-batches that no accumulator adds up are reduced one by one, and their sums are added up
 * where this rank holds its parts: a step costs as many reductions, and no memory beside. */
#ifndef LOCKSTEP_MODE_SCATTERED_H
#define LOCKSTEP_MODE_SCATTERED_H

#include "mode/mode.h"
#include "mode/outstanding.h"
#include "mode/shards.h"
#include "mode/unit_groups.h"

typedef struct scattered scattered;

typedef struct scattered_settings {
    mode *mode;
    const unit_groups *groups;
    const shards *shards; /* of the groups' spans */
    outstanding *works;
    bool holds; /* this rank's store has its parts of the gradients; else each is updated at once */
} scattered_settings;

/* For mode_interface.plan_memory: what scattered_create takes. */
void scattered_plan_memory(const mode_settings *settings, const unit_groups *groups,
                           size_t bytes[MEMORY_KINDS]);

/* All that is borrowed outlives it. Says what mode->gradient_stride is. Collective. */
int scattered_create(const scattered_settings *settings, scattered **out, ls_error *error);
void scattered_destroy(scattered *self); /* NULL is fine; its memory is the store's */

/* Hooks of the mode. Where backward writes the unit's gradient, a lane's row mode->gradient_stride
 * behind the one before; the first call for a group waits for what its slot had. */
int scattered_gradient(scattered *self, int unit, float **out, ls_error *error);
/* It is written, by all lanes. */
int scattered_ready(scattered *self, int unit, ls_error *error);
/* All that were written are waited for and settled. */
int scattered_finish(scattered *self, ls_error *error);

#endif
