/* Two ranks that read each other's memory share out the work that both would do, and write no sum
 * of their gradients: of each large bucket a rank updates one half, from both ranks' gradients
 * where they lie, and writes the new parameters to both (weight-update sharding: Xu et al.,
 * "Automatic Cross-Replica Sharding of Weight Update in Data-Parallel Training", 2020; ZeRO's first
 * stage). An all-reduce and two whole updates pass over twice the memory, which two cores share.
 * Small buckets both update whole, from both gradients. (With more ranks each would read all.)
 *
 * A rank writes its gradients into two arrays in turn: while it makes the next step's, the other
 * may still read this step's, and no longer once it has offered the next (comm.h, offer). A rank
 * whose last bucket was offered reads no parameter of this step any more. The bits are those of the
 * all-reduce and the whole update: the sum of two is commutative, and an update is its element's
 * alone. A rank holds the optimizer's moments of what it updates. */
#ifndef LOCKSTEP_MODE_PAIR_H
#define LOCKSTEP_MODE_PAIR_H

#include "mode/buckets.h"
#include "mode/mode.h"
#include "mode/outstanding.h"

typedef struct pair pair;

/* As far as it is known before memory is held: pair_open will open one. */
bool pair_may_serve(const mode_settings *settings);
/* Where the other rank's memory from the same place of the comm's lies; NULL: out of reach, on both
 * ranks. Where pair_may_serve. */
float *pair_theirs(const mode_settings *settings, const float *mine);
/* After parameters and gradients were held: it does, where all gradients are summed. */
bool pair_serves(const mode *mode);
/* The rule with buckets that are worth sharing out: what is sent costs nothing here, so that small
 * ones only have both ranks update them. */
bucket_rule pair_rule(bucket_rule measured);
/* Elements that a rank of a pair updates, at the most: with the buckets of `given`, or (NULL) with
 * those of any pair_rule. */
size_t pair_most_updated(const mode_settings *settings, const bucket_rule *given);

/* After parameters and gradients were held; says what this rank updates. *out NULL where this does
 * not serve: other than two ranks, no reading of each other's memory, or an update that is not made
 * piece by piece from fp32 gradients. Collective. */
int pair_open(mode *mode, const bucket *buckets, int count, pair **out, ls_error *error);
/* All buckets were begun by outstanding_offer: waits for the other's, updates, and waits until the
 * other has. The next gradients go into the other array. */
int pair_update(pair *self, outstanding *works, bucket *buckets, int count, ls_error *error);
/* Gives the mode its first array back. NULL is fine. */
void pair_close(pair *self);

#endif
