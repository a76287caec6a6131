/* Which rank waited for which. Ranks' clocks are not compared: a collective that needs all ranks
 * ends for all at once, so between two of them (a round: mode/step_clock.h) durations suffice. In a
 * round the rank that was busy longest came last, and
 *
 *   a rank's waiting = min(its exposed communication, the longest busy time of any rank - its own)
 *
 * The rest of its exposed communication is the transfer: what the collective takes when all are
 * there. The smaller of the two is taken because a rank that works on while a collective is under
 * way waits for less than it was ahead. Where ranks are late in turns inside one round, they do
 * wait for each other, but their sums are equal: the figure is then too low, never too high.
 *
 * A rank's pace compares its busy time, step by step, with the median of the other ranks': the
 * verdict about stragglers (report/run/straggler.h) rests on it. Where not all ranks have the same
 * to do (dp: the root alone has data, loss and update) only forward and backward are compared.
 *
 * While an epoch trains, numbers are put into memory that is there; all else is done at its end,
 * outside the training time. */
#ifndef LOCKSTEP_TRAIN_BALANCE_H
#define LOCKSTEP_TRAIN_BALANCE_H

#include "comm/comm.h"
#include "mode/step_clock.h"
#include "report/facts/records.h"

typedef struct balance {
    comm *control;
    bool alike;         /* all ranks have the same to do */
    step_round *rounds; /* [capacity * STEP_MOST_ROUNDS], of this epoch so far */
    double *steps;      /* [capacity]: busy seconds that are compared */
    int64_t capacity, round_count, step_count;
    double *own, *all, *sorted; /* [chunk], [size * chunk], [size] */
    int64_t chunk;              /* values that travel at once */
} balance;

/* For epochs of `steps` steps at most. `updates`: this rank makes updates. Collective. */
int balance_open(balance *self, comm *control, int64_t steps, bool updates, ls_error *error);
void balance_close(balance *self); /* zero bytes are fine */

/* An epoch begins. */
void balance_start(balance *self);
/* A step: its rounds (step_clock_rounds), STEP_MOST_ROUNDS at most, and its parts. */
void balance_add(balance *self, const step_round *rounds, int count,
                 const double parts[STEP_PARTS]);
/* This rank's waiting in the steps of this epoch, and its pace. Collective. */
int balance_compare(balance *self, double *waiting_seconds, rank_pace *pace, ls_error *error);

#endif
