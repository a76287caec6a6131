/* Time in which this process did not run though its clocks went on: stopped by a signal (scontrol
 * suspend, Slurm's gang scheduling, Ctrl-Z, a debugger), frozen (a container that is paused, a
 * control group's freezer) or with its whole machine asleep. It is no time of training, and a
 * loaded machine is none of these.
 *
 * A thread wakes every PULSE_SECONDS and looks how long it slept by CLOCK_BOOTTIME, which goes on
 * while the machine sleeps. Where SIGCONT came, which every continued process gets, what is beyond
 * the interval was a stop; where none came, only a gap of PULSE_FROZEN_SECONDS and more counts: a
 * thread that waits for a core waits for less. SIGCONT must be blocked in every thread (main does
 * that first of all), or the kernel drops it. */
#ifndef LOCKSTEP_MONITOR_PULSE_H
#define LOCKSTEP_MONITOR_PULSE_H

#include "base/error.h"

#define PULSE_SECONDS         0.2
#define PULSE_STOPPED_SECONDS 0.1
#define PULSE_FROZEN_SECONDS  3.0

typedef struct pulse pulse;

/* Starts the thread, which may run where its caller may. */
int pulse_open(pulse **out, ls_error *error);

/* Seconds since pulse_open in which the process did not run. Right after a pause it waits until the
 * thread has seen it, for 2 s at most. NULL: 0. */
double pulse_stopped_seconds(pulse *self);

void pulse_close(pulse *self);

/* What a sleep of `slept_seconds` says, with or without a SIGCONT at its end (for tests). */
double pulse_judge(double slept_seconds, int continued);

#endif
