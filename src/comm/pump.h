/* A thread that moves a comm's collectives on while the mode's own thread computes. Between nodes,
 * MPI sends a large message in pieces, each on a word from the other side that only an MPI call
 * reads: with a call after each primitive alone, the link stands idle for most of a convolution. It
 * wakes every PUMP_PERIOD_SECONDS while something is outstanding and sleeps otherwise. What that
 * takes from the compute thread on the same core is in no figure by itself: the gain was measured
 * with it (results/). The comm stays used by one
 * thread at a time: every call of it stands between pump_hold and pump_let_go. */
#ifndef LOCKSTEP_MODE_PUMP_H
#define LOCKSTEP_MODE_PUMP_H

#include "comm/comm.h"

#define PUMP_PERIOD_SECONDS 250e-6

typedef struct pump pump;

int pump_start(comm *comm, pump **out, ls_error *error);
void pump_stop(pump *self); /* NULL is fine, here and below */

void pump_hold(pump *self);
/* `busy`: something is outstanding. */
void pump_let_go(pump *self, bool busy);
/* While held: the thread's own failure, if it had one. */
int pump_check(const pump *self, ls_error *error);

#endif
