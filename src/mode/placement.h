/* What of a rank's shards lies on the device and what in a file (gemini). Each group's part is cut
 * into pieces; of each kind of array a piece is here or out. What a step cannot do without has its
 * place first: activations, gathered groups and their packed copies, groups of gradients, and a few
 * frames (mode/frames.h). What is left of the bound is given to pieces in the order of what keeping
 * them here saves: parameters, which forward, backward and the update read; gradients where they
 * are held, which are written and read; then what the optimizer keeps. (ColossalAI's Gemini moves
 * chunks of such tensors: Fang et al., "Parallel Training of Pre-Trained Models via Chunk-Based
 * Dynamic Memory Management", IEEE TPDS 34 (1), 2023.)
 *
 * A function of the settings alone, so that a plan knows it before any memory is taken. */
#ifndef LOCKSTEP_MODE_PLACEMENT_H
#define LOCKSTEP_MODE_PLACEMENT_H

#include "mode/mode.h"
#include "mode/shards.h"
#include "mode/unit_groups.h"

typedef struct placement {
    int count;
    store_span *pieces;             /* [count] of this rank, ascending */
    bool *out[STORE_KINDS];         /* [count] of each kind that is held; NULL: the kind is not */
    size_t largest;                 /* elements of a piece */
    int frames;                     /* 0: nothing is out */
    size_t here[STORE_KINDS], away; /* bytes */
} placement;

/* Of a rank that gathers. Where even all of it out is too much, that: the plan's bytes say how much
 * is needed. */
int placement_create(const mode_settings *settings, const unit_groups *groups, const shards *shards,
                     placement *out, ls_error *error);
void placement_destroy(placement *self); /* of zeroes is fine */

/* All of it is on the device, as fsdp holds it. */
bool placement_fits(const mode_settings *settings);
/* One rank that holds all within its bound gathers nothing. */
bool placement_gathers(const mode_settings *settings);

#endif
