#include "launch/clocks.h"

#include <mpi.h>
#include <stdint.h>
#include <time.h>

enum { TAG = 7101 };

static int64_t now_nanoseconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int answer(int rounds) {
    int failed = 0;
    for (int round = 0; round < rounds && !failed; round++) {
        char question;
        failed = MPI_Recv(&question, 1, MPI_CHAR, 0, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        int64_t here = now_nanoseconds();
        failed = failed || MPI_Send(&here, 1, MPI_INT64_T, 0, TAG, MPI_COMM_WORLD);
    }
    return failed;
}

static int ask(int rank, int rounds, clock_offset *out) {
    int failed = 0;
    for (int round = 0; round < rounds && !failed; round++) {
        char question = 0;
        int64_t there = 0, before = now_nanoseconds();
        failed = MPI_Send(&question, 1, MPI_CHAR, rank, TAG, MPI_COMM_WORLD) ||
                 MPI_Recv(&there, 1, MPI_INT64_T, rank, TAG, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
        int64_t after = now_nanoseconds();
        double half = 0.5e-9 * (double)(after - before);
        if (round == 0 || half < out->uncertainty)
            *out = (clock_offset){.seconds = 1e-9 * (double)(there - before) - half,
                                  .uncertainty = half};
    }
    return failed;
}

int launch_clock_offsets(const launch *self, int rounds, clock_offset *out, ls_error *error) {
    int failed = 0;
    if (self->rank > 0)
        failed = answer(rounds);
    else
        out[0] = (clock_offset){0};
    for (int rank = 1; self->rank == 0 && rank < self->size && !failed; rank++)
        failed = ask(rank, rounds, &out[rank]);
    if (failed)
        return ls_fail(error, LS_FAILED, "MPI failed while the ranks' clocks were compared");
    return LS_OK;
}
