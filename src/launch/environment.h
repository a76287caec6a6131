/* What the environment sets beside our options: variables of OpenMP, hwloc, oneDNN, MPI, CUDA,
 * NCCL, glibc and their kin that change threads, binding, topology, algorithms or times. Each has a
 * decision (environment.c lists them):
 *
 * - taken out, before any library's constructor reads it: what lockstep decides by itself. libgomp
 *   binds the process by OMP_PROC_BIND before main, and then no mask tells what was granted; a
 *   topology from a file binds threads nowhere; a "math mode" makes fp32 something else.
 * - kept and compared: what a user may want to choose. It stands in summary.csv, `report` compares
 *   it, and where it changes what is computed all ranks must have the same.
 * - kept and recorded, for what communication alone reads. */
#ifndef LOCKSTEP_LAUNCH_ENVIRONMENT_H
#define LOCKSTEP_LAUNCH_ENVIRONMENT_H

#include "base/error.h"
#include "base/text_buffer.h"

#include <stddef.h>

typedef enum {
    ENVIRONMENT_TAKEN_OUT,
    ENVIRONMENT_ARITHMETIC,   /* kept; changes bits */
    ENVIRONMENT_TIMES,        /* kept; changes times */
    ENVIRONMENT_COMMUNICATION /* kept; how ranks talk */
} environment_kind;

/* Removes what is taken out from the list, and remembers it. Runs before the C library is set up
 * (src/before_main.c), so it calls nothing. */
void environment_clean(char **environment);

/* "NAME=value; NAME=value", by name, of these kinds (bits 1 << kind); "" for none. */
void environment_add(text_buffer *out, unsigned kinds);
/* The same, cut to the room there is, for a message of one size. */
void environment_describe(unsigned kinds, char *out, size_t capacity);

/* LOCKSTEP_SHARED_MEMORY is 0, 1 or nothing; else LS_BAD_INPUT. (What names times, algorithms or
 * ways is checked by who reads it.) */
int environment_check(ls_error *error);

#endif
