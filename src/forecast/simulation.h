/* A step that is being simulated (the forecast room's own): what has passed of it, and the queue of
 * collectives beside it. */
#ifndef LOCKSTEP_FORECAST_SIMULATION_H
#define LOCKSTEP_FORECAST_SIMULATION_H

#include "forecast/simulate.h"

/* A layer that goes as factors: x is known in forward, dy in backward. */
typedef struct factored {
    const step_row *row; /* its backward_weights */
    double product_seconds;
    double x_bytes, dy_bytes;
    int last_collective; /* dy's: what the product waits for */
} factored;

/* Parameters of a sharded step that travel together: a group of layers (fsdp). */
typedef struct sharded_group {
    int64_t first, count; /* of the flat array */
    int arrives;          /* the collective that brings it; -1: it is not there */
} sharded_group;

/* The queue is a prefix of all that ever start: [done, started) is outstanding, in order. */
typedef struct simulation {
    const step_case *in;
    collective_cost *collectives;
    int64_t *elements; /* of each collective: the gradient's that it makes final; 0: others */
    int done, started;
    double left_seconds; /* of the collective at `done` */
    link_overlap overlap;
    double wall;        /* so far */
    int64_t cut;        /* the gradient's elements from here on have been sent */
    factored *factored; /* in backward's order */
    int factored_count;
    sharded_group *groups; /* fsdp: ascending; a row's is group_of[row] (-1: none) */
    int *group_of;
    int group_count;
} simulation;

/* The rank computes; what is outstanding gets on as far as it can beside that. */
void simulation_compute(simulation *self, double seconds);
/* The rank waits until collectives [0, until) are done. */
void simulation_wait(simulation *self, int until);
/* `share`: of the time of a whole collective of that kind; a reduce-scatter is half an all-reduce.
 */
void simulation_start(simulation *self, link_kind kind, double share, double bytes,
                      int64_t elements);

/* zero1 and zero2: buckets are reduced to their parts, each rank updates its own, and what was
 * updated is gathered. After backward; `update`: seconds of the whole array's. */
void sharded_finish(simulation *self, double update_seconds);
/* fsdp: groups of layers as the rows' names and ranges tell. LS_FAILED: no memory. */
int sharded_groups(simulation *self, ls_error *error);
void sharded_groups_free(simulation *self);
/* Before a row: its group is there, and the next one is on its way. */
void sharded_come_to(simulation *self, size_t row);

#endif
