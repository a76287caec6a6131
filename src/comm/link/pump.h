/* A thread that moves a comm's collectives on while the mode's own thread computes. Between nodes,
 * MPI sends a large message in pieces, each on a word from the other side that only an MPI call
 * reads: with a call after each primitive alone, the link stands idle for most of a convolution. It
 * wakes every PUMP_PERIOD_SECONDS while something is on its way and sleeps otherwise: a fifth of
 * the compute thread's time is lost where it runs on the same core (link_measure_overlap sees it).
 * The comm stays used by one thread at a time: every call of it stands between pump_hold and
 * pump_let_go. */
#ifndef LOCKSTEP_COMM_LINK_PUMP_H
#define LOCKSTEP_COMM_LINK_PUMP_H

#include "comm/comm.h"

#define PUMP_PERIOD_SECONDS 250e-6

typedef struct pump pump;

/* Whether a work is still on its way; asked while the pump is held. */
typedef bool (*pump_busy)(void *context);

int pump_start(comm *comm, pump_busy busy, void *context, pump **out, ls_error *error);
void pump_stop(pump *self); /* NULL is fine, here and below */

void pump_hold(pump *self);
void pump_let_go(pump *self);
/* While held: the thread's own failure, if it had one. */
int pump_check(const pump *self, ls_error *error);

#endif
