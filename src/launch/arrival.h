/* The start-up deadline. MPI_Init is a collective that waits for every rank, however long: a host
 * that never starts its program, or a rank that is stopped there, would keep the job for ever. So
 * each rank says through PMIx that it is here, and a thread looks at the time. */
#ifndef LOCKSTEP_LAUNCH_ARRIVAL_H
#define LOCKSTEP_LAUNCH_ARRIVAL_H

#include "base/error.h"
#include "launch/launch.h"

#include <stdbool.h>

/* After pmix_start, before MPI_Init; nothing with one rank. From now on the job ends with one line
 * that names the ranks that are missing, and their hosts, and exit code 3, unless arrival_complete
 * is called within LOCKSTEP_START_SECONDS (default 120). */
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

/* This rank is here. Not collective. */
int pmix_announce(const launch *self, ls_error *error);

/* Of ranks [first, first + count), asked at once: whoever has not answered within
 * `patience_seconds` is not here. Safe beside a thread that is in MPI_Init. */
void pmix_arrivals(int first, int count, double patience_seconds, arrival *out);

#endif
