/* What the tests of collectives share: a comm on some kind of memory, buffers in it, and numbers
 * whose result is exactly known: small integers, whose fp32 sums are exact in any order. */
#ifndef LOCKSTEP_UNIT_COMM_COMM_FIXTURE_H
#define LOCKSTEP_UNIT_COMM_COMM_FIXTURE_H

#include "comm/comm.h"
#include "device/device.h"
#include "launch/launch.h"

extern comm *all;             /* under test */
extern comm *control;         /* on host memory; NULL with one rank */
extern device *memory;        /* whose memory the buffers are; NULL: host memory */
extern device_stream *stream; /* NULL: host memory */
extern ls_error error;

/* `kind`: "host": host memory, comm auto; "staged": ref's memory taken for such as the host cannot
 * address, comm mpi; "NAME/COMM": device NAME, comm COMM. LS_FAILED and so on as comm_open. */
int comm_fixture_open(const char *kind, launch *here, ls_error *error);
/* Its two halves: launch and device; the comm. */
int comm_fixture_start(const char *kind, launch *here, ls_error *error);
int comm_fixture_join(const char *kind, const launch *here, ls_error *error);
/* Changes the settings of comm_open; NULL: nothing does. */
extern void (*comm_fixture_adjust)(comm_settings *settings);
void comm_fixture_close_comms(void);
void comm_fixture_close(void);

/* An array as the program holds it: in memory of the fixture's kind. */
typedef struct array {
    void *host; /* what is checked and filled */
    void *data; /* what is communicated; the same on host memory */
    size_t bytes;
    comm *from; /* whose allocate() gave `data`; NULL: the device, or the host */
} array;

/* Zeros; at least one element. */
array array_make(dtype type, int64_t count);
/* The same in memory of the comm under test. Collective. */
array array_of_comm(dtype type, int64_t count);
/* host -> data, in stream order; and back, waited for. */
void array_give(array *self);
void array_take(array *self);
void array_free(array *self);

int value_of(int rank, int64_t index);
double expected_of(int64_t index, reduction how);
void store_value(void *buffer, dtype type, int64_t index, double value);
double load(const void *buffer, dtype type, int64_t index);

/* Element i is value_of(rank, i), given. */
array array_filled(dtype type, int64_t count, int rank);
/* Elements from .. to-1 of what array_take took that are not the reduction over the ranks. */
int64_t wrong_of(const array *buffer, dtype type, int64_t from, int64_t to, reduction how);

/* A case counts as failed where it failed on any rank; rank 0 prints the line. */
#define END_CASE(name)                                                                             \
    do {                                                                                           \
        int64_t failed_ = check_case_failures + (error.code != LS_OK);                             \
        if (error.code != LS_OK)                                                                   \
            printf("# rank %d: %s\n", all->rank, error.text);                                      \
        error = (ls_error){0};                                                                     \
        if (control)                                                                               \
            comm_allreduce_int64(control, &failed_, 1, REDUCTION_SUM, &error);                     \
        CHECK(failed_ == check_case_failures, "it failed on another rank");                        \
        if (all->rank == 0)                                                                        \
            check_case(name);                                                                      \
        else                                                                                       \
            check_failures += failed_ > 0, check_case_failures = 0;                                \
        fflush(stdout);                                                                            \
    } while (0)

#endif
