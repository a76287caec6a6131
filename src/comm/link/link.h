/* What the network can do: collectives of an open comm timed at given sizes, latency and bandwidth
 * fitted to the times, and the cost of a collective computed back from them.
 *
 * The cost model is the ring's (Thakur, Rabenseifner, Gropp, "Optimization of collective
 * communication operations in MPICH", 2005, section 4; Patarasuk and Yuan, "Bandwidth optimal
 * all-reduce algorithms for clusters of workstations", 2009): for R ranks, n bytes, latency a and
 * bandwidth B of one hop,
 *   all-reduce  2 a + 2 (R-1)/R n/B       n: bytes that every rank holds and sums
 *   all-gather    a +   (R-1)/R n/B       n: bytes of all ranks' parts together
 * Other algorithms move the same bytes with other latencies; the fit takes what it finds. */
#ifndef LOCKSTEP_COMM_LINK_LINK_H
#define LOCKSTEP_COMM_LINK_LINK_H

#include "comm/comm.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum { LINK_ALLREDUCE, LINK_ALLGATHER } link_call;

/* "allreduce", "allgather". */
const char *link_call_name(link_call call);

/* One hop. bytes_per_second may be INFINITY: no byte costs time. */
typedef struct link_cost {
    double latency_seconds, bytes_per_second;
} link_cost;

/* Memory of the comm that one measurement after another uses: making it takes longer than many a
 * call. It grows where one needs more; {0} at first. */
typedef struct link_room {
    void *memory;
    size_t bytes;
} link_room;

/* What is measured, and through what. */
typedef struct link_probe {
    comm *comm;    /* on the device's memory */
    comm *control; /* on host memory; may be `comm` itself where that takes host memory */
    device *device;
    device_stream *stream; /* NULL: host memory, and device is NULL */
    link_room *room;       /* NULL: each measurement has memory of its own */
    bool pumped; /* beside computing, a pump (comm/link/pump.h) moves collectives on as well */
} link_probe;

/* Times `call` on bytes[i] bytes of `type`, one after another, each on bytes that its rank has just
 * written, as a step's gradients are: seconds[i] is the median over several calls of the slowest
 * rank's time, the same number on all ranks, and spread[i] (where not NULL) half of what lies
 * between the calls' quartiles. Half a second a size at most, but never fewer than three calls.
 * Collective; allocates (never in the hot loop); nothing may be outstanding on the comm. One rank:
 * all 0. */
int link_measure(const link_probe *self, link_call call, dtype type, const size_t *bytes, int count,
                 double *seconds, double *spread, ls_error *error);

/* Of the probe's room; not collective. */
void link_release_room(const link_probe *self);

/* A time that several measurements share; all of it is the same on all ranks. */
typedef struct link_budget {
    comm *control; /* NULL: one rank */
    double began;  /* on this rank's clock */
    double limit_seconds;
    double left_seconds;      /* when the ranks last agreed; below 0: overrun */
    double agreement_seconds; /* of a few numbers: nothing that all ranks do takes less */
} link_budget;

/* Begins when all ranks are here, with the shortest of their limits. Collective, as all that spends
 * it. */
int link_budget_begin(comm *control, double limit_seconds, link_budget *out, ls_error *error);
/* What is left now. */
int link_budget_look(link_budget *self, ls_error *error);
/* Whether there is time for so many things that all ranks do. */
bool link_budget_allows(const link_budget *self, int agreements);

/* As link_measure, of sizes that ascend, the first of them small, in what is left of the budget
 * but for keep_seconds of it. What would not fit is not measured: it lies on the line through the
 * last two sizes that were, or takes as long as the only one, or (where not even the smallest fits)
 * as long as an agreement; its spread is the last one's. */
int link_measure_within(const link_probe *self, link_call call, dtype type, const size_t *bytes,
                        int count, link_budget *budget, double keep_seconds, double *seconds,
                        double *spread, ls_error *error);

/* What one more call of the same size costs right behind others, which is less than alone where
 * their latencies overlap, and more where an idle link sends its first bytes for nothing (a token
 * bucket): several begun at once, less alone_seconds, over the others. Median, of the slowest rank.
 * Collective; as link_measure. */
int link_measure_following(const link_probe *self, link_call call, dtype type, size_t bytes,
                           double alone_seconds, double *seconds, ls_error *error);

/* How a collective gets on while its rank computes, at one size and pace. */
typedef struct link_overlap {
    /* Of a collective's time (link_measure's), how much passes in a second of computing: 1 +
     * slowdown where it runs by itself, 0 where nothing moves before it is waited for. */
    double progress;
    /* How much longer a second of computing takes meanwhile: the comm's calls, and what the system
     * does for them on the same core. 0: no longer. */
    double slowdown;
} link_overlap;

/* The call begins, then until it is done, or for a little longer than it takes alone
 * (alone_seconds), the thread computes, with a progress() every gap_seconds (and what a pump does
 * meanwhile); then it waits. Median, of the slowest rank. Collective; as link_measure. Not
 * measured, and {1, 0}, where the device is asynchronous: there a collective needs no host; that it
 * takes memory bandwidth from kernels is not seen. */
int link_measure_overlap(const link_probe *self, link_call call, dtype type, size_t bytes,
                         double alone_seconds, double gap_seconds, link_overlap *out,
                         ls_error *error);

/* Latency and bandwidth that explain the times best: least squares on relative errors, none below
 * 0. Two sizes or more that differ; ranks of at least 2 (LS_BAD_INPUT). */
int link_fit(link_call call, int ranks, const size_t *bytes, const double *seconds, int count,
             link_cost *out, ls_error *error);

/* The formulas above; 0 for one rank. */
double link_seconds(const link_cost *hop, link_call call, int ranks, double bytes);

/* Two links: between ranks of a node, and between nodes (bandwidth: of a whole node). */
typedef struct link_network {
    link_cost inside, between;
    int ranks_per_node; /* at least 1 */
    /* true: an all-reduce reduces inside the nodes, then between them, then hands out inside, each
     * node's data crossing its link once. false, and of an all-gather always: one ring over all
     * ranks, as slow as its slowest hop. */
    bool two_level;
} link_network;

/* The time of a collective over `ranks` ranks; ranks_per_node of them on each node. */
double link_network_seconds(const link_network *self, link_call call, int ranks, double bytes);

#endif
