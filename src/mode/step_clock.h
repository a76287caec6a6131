/* Where a step's time goes. The trainer marks the end of each phase, the mode the communication
 * inside them that the compute waits for. On a device whose calls are done when they return, the
 * marks read the clock at every step; on an asynchronous one they are events put into the stream
 * at sampled steps only (a step that is replayed as a graph has no borders to mark), and
 * collecting waits for them. */
#ifndef LOCKSTEP_MODE_STEP_CLOCK_H
#define LOCKSTEP_MODE_STEP_CLOCK_H

#include "device/device.h"

typedef struct step_clock step_clock;

typedef enum {
    STEP_DATA,     /* the batch reaches the pass */
    STEP_FORWARD,  /* with the loss */
    STEP_BACKWARD, /* to the last gradient */
    STEP_OPTIMIZER,
    STEP_COMMUNICATION, /* waited for, inside the others, which do not count it */
    STEP_PARTS
} step_part;

/* Between two points where ranks wait for each other: what this rank did, and how long compute
 * stood still in the comm. Ranks' clocks need not be compared for what these say (train/balance.h).
 */
typedef struct step_round {
    double busy_seconds, exposed_seconds;
} step_round;
enum { STEP_MOST_ROUNDS = 4 };

int step_clock_create(device *device, device_stream *stream, step_clock **out, ls_error *error);
void step_clock_destroy(step_clock *self); /* NULL is fine */

/* A step begins. Until the next one, marks count only where `sampled`. */
int step_clock_begin(step_clock *self, bool sampled, ls_error *error);
/* `part` ends here; the next begins. */
int step_clock_mark(step_clock *self, step_part part, ls_error *error);
/* What stands between these is no part of the phase that goes on: `spent` takes its time. */
int step_clock_leave(step_clock *self, ls_error *error);
int step_clock_return(step_clock *self, step_part spent, ls_error *error);
/* The same, for communication that the compute stream (or the calling thread) waits for; a range
 * "communication" for a profiler and a profile. */
int step_clock_waiting(step_clock *self, ls_error *error);
int step_clock_resumed(step_clock *self, ls_error *error);

/* What was waited for last needed all ranks: a round ends here. A mode that never says so has one
 * round a step, which ends where the last communication does. What is done after a round's end
 * counts in the next one, and from the last one in the next step's first, where that step follows
 * at once and is timed too (not on an asynchronous device). */
void step_clock_round_ends(step_clock *self);

bool step_clock_has(const step_clock *self); /* there is something to collect */
/* Adds the seconds of the step to parts[STEP_PARTS], and waits for its end; on an asynchronous
 * device that may be put off until before the next sampled step begins. Not sampled: adds nothing.
 */
int step_clock_collect(step_clock *self, double parts[STEP_PARTS], ls_error *error);
/* Of the step that was collected last; as many in each step of a mode, on every rank. */
int step_clock_rounds(const step_clock *self, const step_round **out);

#endif
