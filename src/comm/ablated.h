/* --ablate comm: a comm whose collectives do nothing, so that a step's time without communication
 * can be measured. What it leaves in the buffers is no result. */
#ifndef LOCKSTEP_COMM_ABLATED_H
#define LOCKSTEP_COMM_ABLATED_H

#include "comm/comm.h"

/* A comm like `inner` (its name, its memory, whether its calls can be recorded), which passes every
 * call on to it until comm_ablate(); closing it closes inner. */
int comm_ablated_open(comm *inner, comm **out, ls_error *error);
/* From now on no collective does anything (nothing is outstanding). After choices that are measured
 * on the comm were made: they are to be those of the run without --ablate. */
void comm_ablate(comm *self);

#endif
