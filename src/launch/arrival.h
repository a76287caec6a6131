/* The start-up deadline. MPI_Init is a collective that waits for every rank, however long: a host
 * that never starts its program, or a rank that is stopped there, would keep the job for ever. So
 * each rank says through PMIx that it is here, and a thread looks at the time. Where PMIx is up
 * before MPI (launch.c has the order), a rank says so before MPI_Init; where MPI must start PMIx,
 * the thread says so beside MPI_Init, as soon as MPI is connected: that is the first that it does,
 * and needs no other rank. */
#ifndef LOCKSTEP_LAUNCH_ARRIVAL_H
#define LOCKSTEP_LAUNCH_ARRIVAL_H

#include "base/error.h"
#include "launch/launch.h"

#include <stdbool.h>

/* Before MPI_Init. `self` as pmix_start has filled it; NULL where MPI starts PMIx, which the thread
 * then waits for. From now on the job ends with one line that names the ranks that are missing, and
 * their hosts, and exit code 3, unless arrival_complete is called within LOCKSTEP_START_SECONDS
 * (default 120). Nothing with one rank. */
int arrival_watch(const launch *self, ls_error *error);

/* Every rank is here, for MPI has started. Does not return where the deadline has just passed and
 * the job is being ended. */
void arrival_complete(void);

/* What PMIx knows of a rank's arrival (pmix_arrivals.c). */
typedef struct arrival {
    bool here;
    char host[256]; /* "" unknown */
    long process;   /* of a rank that is here: its number on its host */
} arrival;

/* This rank is here. Not collective; safe beside a thread that is in MPI_Init. */
int pmix_announce(const launch *self, ls_error *error);

/* Of ranks [first, first + count), asked at once: whoever has not answered within
 * `patience_seconds` is not here. Safe beside a thread that is in MPI_Init. */
void pmix_arrivals(int first, int count, double patience_seconds, arrival *out);

#endif
