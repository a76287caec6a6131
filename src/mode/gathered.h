/* Parameters that ranks hold in parts, gathered into slots for their use: a group of units at a
 * time (mode/unit_groups.h), each rank's part from its store. A slot is memory of the comm's for
 * one group, and of the device for the packed copies of its units, which are made when the group
 * has come: a copy in a blocked format is made of all of a tensor, which no rank holds alone. (To
 * gather it instead of the parameters would move the padding and both directions' copies, up to
 * four times the bytes.) Weights that are computed with as their values rounded travel in that form
 * (mode/gathered_low.h).
 *
 * What a slot has stays valid until the slot is taken for another group or the parameters change:
 * backward finds the last groups of forward still there, and with a slot for each group all of
 * them. Which group goes where depends on the order of the calls alone, the same on all ranks. */
#ifndef LOCKSTEP_MODE_GATHERED_H
#define LOCKSTEP_MODE_GATHERED_H

#include "mode/mode.h"
#include "mode/outstanding.h"
#include "mode/shards.h"
#include "mode/unit_groups.h"

/* Where the ranks of a node hold all parameters in one memory (gathered_in_place), a group lies
 * there for each of them: nothing is gathered, and a slot has packed copies alone. A rank's update
 * of its part is seen by all once they have met, before a walk's first group.
 */

typedef struct gathered gathered;

typedef struct gathered_settings {
    mode *mode;
    const unit_groups *groups;
    const shards *shards; /* of the groups' spans; parameters of this rank's are held */
    outstanding *works;
    int ahead;  /* groups that are on their way beside the one in use, at most */
    bool keeps; /* there is a slot for each group: none is gathered again before it changes */
    /* A part may have to be read first (mode/store_memory.h): reads begin a group before, where
     * ranks gather, so that a gather finds its part there. The same on all ranks. */
    bool reads;
} gathered_settings;

/* As far as it is known before memory is held: all ranks are on one node and shard over all of
 * them, its comm shares memory out (comm.h, allocate_common), and products take the parameters in
 * fp32. */
bool gathered_in_place(const mode_settings *settings, bool reads);
/* For mode_interface.plan_memory: what gathered_create takes. */
void gathered_plan_memory(const mode_settings *settings, const unit_groups *groups, bool reads,
                          size_t bytes[MEMORY_KINDS]);

/* All that is borrowed outlives it. Collective. */
int gathered_create(const gathered_settings *settings, gathered **out, ls_error *error);
void gathered_destroy(gathered *self); /* NULL is fine; its memory is the store's */

/* A walk comes to the unit: its group, and those behind it that may be on their way, are begun
 * where they are not there. */
int gathered_come_to(gathered *self, int unit, bool backward, ls_error *error);
/* The unit's parameters, of a group that was come to: the first call for a group waits for it and
 * makes the packed copies, and others may be made by any thread. Until the unit was left. */
int gathered_take(gathered *self, int unit, const float **out, ls_error *error);
/* The walk has used the unit. */
void gathered_leave(gathered *self, int unit);
/* The parameters changed: what slots have is old. Nothing is in use. */
void gathered_forget(gathered *self);

#endif
