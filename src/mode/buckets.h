/* Buckets: ranges of the flat gradient that are reduced at once (Li et al., "PyTorch Distributed:
 * Experiences on Accelerating Data Parallel Training", VLDB 2020, section 3.2.2 and 3.2.3: a call
 * for each tensor drowns in latency, one call for all overlaps with nothing). Cut from the array's
 * end, where gradients become ready first.
 *
 * With a network whose all-reduce of s bytes takes latency + s / bandwidth, the bytes that take as
 * long as the latency, latency x bandwidth, are the fewest that are `worth` a call. From it:
 *   - what is ready starts: a bucket ends at a unit's border as soon as it holds `worth`, so that
 *     none waits for a later gradient that it does not need, the first one starts with the first
 *     unit that is worth it, and what the last unit (the first layer) leaves is that unit;
 *   - within a unit, all of it ready at once, a bucket takes `most`: 10 x worth, where latency is
 *     at most a tenth of its time, though at least an eighth of the model: more pieces than that
 *     only queue.
 * Both are rounded to a power of two. */
#ifndef LOCKSTEP_MODE_BUCKETS_H
#define LOCKSTEP_MODE_BUCKETS_H

#include "comm/comm.h"
#include "model/graph.h"

typedef struct bucket {
    size_t first, count; /* elements of the flat gradient */
    comm_work work;
} bucket;

/* In elements. */
typedef struct bucket_rule {
    size_t most;  /* a bucket's */
    size_t worth; /* a bucket that holds as many ends at a unit's border; SIZE_MAX: borders do not
                   * matter, every bucket but the last has `most` */
} bucket_rule;

/* The rule for a model of `parameters` elements of `element_bytes` each on their way. */
bucket_rule bucket_rule_for(size_t parameters, size_t element_bytes, double latency_seconds,
                            double bytes_per_second);

/* Cuts what is not `left_out` (a flag a unit; NULL: none), whose blocks also are borders. Returns
 * how many; `out` NULL: only counts. */
int buckets_cut(const graph *graph, const bool *left_out, bucket_rule rule, bucket *out);

#endif
