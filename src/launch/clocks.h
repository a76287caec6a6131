/* What the ranks' clocks (CLOCK_REALTIME) say of each other. */
#ifndef LOCKSTEP_LAUNCH_CLOCKS_H
#define LOCKSTEP_LAUNCH_CLOCKS_H

#include "base/error.h"
#include "launch/launch.h"

typedef struct clock_offset {
    double seconds;     /* this rank's clock minus rank 0's */
    double uncertainty; /* seconds: the true offset is within it of `seconds` */
} clock_offset;

/* Collective. Rank 0 exchanges `rounds` messages with each rank in turn and keeps the one that came
 * back soonest: the other clock was read somewhere in between (Cristian, "Probabilistic clock
 * synchronization", 1989), so half of that time is the uncertainty. out: [size] on rank 0, else
 * unused. */
int launch_clock_offsets(const launch *self, int rounds, clock_offset *out, ls_error *error);

#endif
