/* Time for intervals. */
#ifndef LOCKSTEP_BASE_CLOCK_H
#define LOCKSTEP_BASE_CLOCK_H

/* Seconds since an arbitrary fixed moment (CLOCK_MONOTONIC). Safe from any thread. */
double clock_seconds(void);

/* Seconds since this process started, from the kernel's record of its start (resolution 10 ms). */
double clock_since_process_start_seconds(void);

/* CPU seconds of this process so far, user and system, all threads. */
double clock_cpu_seconds(void);

#endif
