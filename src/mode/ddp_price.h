/* What ddp would cost where another mode ran: its all-reduce, by what this network takes. */
#ifndef LOCKSTEP_MODE_DDP_PRICE_H
#define LOCKSTEP_MODE_DDP_PRICE_H

#include "mode/mode.h"

/* Seconds of a step in which ddp's ranks would wait for the sum of the gradient, which may lie
 * beside `backward_seconds` of computing. Two sizes of an all-reduce are timed now, in about a
 * tenth of a second, and the gradient's is on the line through them. A host whose ranks share a
 * node moves the bytes itself: there nothing lies beside. Collective; nothing is outstanding. */
int ddp_price_exposed(const mode *mode, double backward_seconds, double *out, ls_error *error);

/* What a rank of ddp would hold in place of this mode's, by its use. */
int ddp_price_memory(const mode *mode, size_t bytes[MEMORY_KINDS], ls_error *error);

#endif
