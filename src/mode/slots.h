/* Gradients that are held for a while: backward writes a unit's gradient into a slot, from which
 * its buckets are reduced, and which another unit's takes when they are. (ZeRO's second stage:
 * Rajbhandari et al., "ZeRO: Memory Optimizations Toward Training Trillion Parameter Models", 2020,
 * section 5.2.) What has a slot is a segment: units that follow each other and whole buckets of
 * them. Segments come in the order of backward; of SLOTS of them the oldest gives way. A slot is as
 * long as the longest segment that takes it: all of them are at most the whole gradient. */
#ifndef LOCKSTEP_MODE_SLOTS_H
#define LOCKSTEP_MODE_SLOTS_H

#include "mode/buckets.h"
#include "mode/mode.h"

enum { SLOTS = 4 };

typedef struct segment {
    size_t first, count; /* elements of the flat gradient */
    int units_end;       /* its units are below it, and not below the next segment's */
    int bucket, buckets; /* [bucket, bucket + buckets) are its */
} segment;

typedef struct slots {
    store *store;
    float *memory;
    int count, segment_count;
    size_t first[SLOTS + 1]; /* elements of memory: where each slot begins; their sum */
    int held[SLOTS];         /* the segment in each slot; -1: none */
    segment *segments;       /* [segment_count]: [0] is the end of the flat array */
} slots;

/* Of buckets that end at least where units do that are worth it (mode/buckets.h). Memory of the
 * store's that the comm gives: collective. */
int slots_create(mode *mode, const bucket *buckets, int count, slots *out, ls_error *error);
void slots_destroy(slots *self); /* of zeroes is fine */

/* Before buckets are known: bytes for those of this rule, and of one whose `worth` is less. Rounded
 * up by a grain a segment. */
size_t slots_most_bytes(const graph *graph, bucket_rule rule);

/* Of the segments. */
int slots_of_unit(const slots *self, int unit);
int slots_of_bucket(const slots *self, int bucket);

/* The segment that gives way to `segment` in its slot; -1: none, or it is there already. */
int slots_before(const slots *self, int segment);
/* All segments' buckets are reduced: none gives way. */
void slots_forget(slots *self);
/* It has its slot from now on. */
void slots_give(slots *self, int segment);
/* Where the element lies of a segment that has its slot. */
float *slots_at(const slots *self, int segment, size_t element);

#endif
