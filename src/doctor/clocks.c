/* The hosts' clocks: times in logs and files, and Munge's credentials, which live five minutes. */
#include "launch/clocks.h"
#include "doctor/check.h"

#include <math.h>
#include <stdlib.h>

enum { ROUNDS = 16, ROUNDS_AT_START = 4 };
static const double SKEW_SECONDS = 0.1;

/* Rank 0's alone. */
typedef struct clock_facts {
    int rank; /* whose clock is furthest from rank 0's */
    clock_offset offset;
} clock_facts;

static int examine(examination *self, void *facts, ls_error *error) {
    clock_facts *mine = facts;
    int size = self->me->size;
    clock_offset *all = calloc((size_t)size, sizeof *all);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    int rounds = self->at_start ? ROUNDS_AT_START : ROUNDS;
    int status = launch_clock_offsets(self->me, rounds, all, error);
    for (int rank = 1; rank < size; rank++)
        if (rank == 1 || fabs(all[rank].seconds) > fabs(mine->offset.seconds))
            *mine = (clock_facts){rank, all[rank]};
    free(all);
    return status;
}

static void judge(const ward *all, finding *out) {
    const clock_facts *worst = all->facts;
    const clock_offset *offset = &worst->offset;
    if (all->size == 1)
        finding_say(out, FINDING_SKIPPED, NULL, "one rank: nothing to compare");
    else if (fabs(offset->seconds) - offset->uncertainty > SKEW_SECONDS)
        finding_say(out, FINDING_WARNING,
                    "chronyc makestep   # as root on that host; `chronyc tracking` says why",
                    "the clock of %s is %.3f s (+-%.3f) %s rank 0's", name_rank(all, worst->rank),
                    fabs(offset->seconds), offset->uncertainty,
                    offset->seconds > 0 ? "ahead of" : "behind");
    else
        finding_say(out, FINDING_OK, NULL, "within %.1f us of rank 0's (+-%.1f us, rank %d)",
                    1e6 * fabs(offset->seconds), 1e6 * offset->uncertainty, worst->rank);
}

static const check checks[] = {{"clocks", true, judge}, {0}};

const theme theme_clocks = {.place = "doctor: clocks",
                            .fact_bytes = sizeof(clock_facts),
                            .examine = examine,
                            .checks = checks,
                            .at_start = true};
