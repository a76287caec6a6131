#include "train/balance.h"

#include <math.h>
#include <stdlib.h>

/* Values of all ranks that are held at once. */
enum { MOST_GATHERED = 65536 };

static int all_alike(balance *self, bool updates, ls_error *error) {
    int64_t idle = !updates;
    LS_TRY(comm_allreduce_int64(self->control, &idle, 1, REDUCTION_MAX, error));
    self->alike = idle == 0;
    return LS_OK;
}

int balance_open(balance *self, comm *control, int64_t steps, bool updates, ls_error *error) {
    size_t size = (size_t)control->size;
    *self = (balance){.control = control, .capacity = steps};
    self->chunk = MOST_GATHERED / control->size > 0 ? MOST_GATHERED / control->size : 1;
    size_t chunk = (size_t)self->chunk;
    self->rounds = malloc((size_t)steps * STEP_MOST_ROUNDS * sizeof *self->rounds);
    self->steps = malloc((size_t)steps * sizeof *self->steps);
    self->own = malloc(chunk * sizeof *self->own);
    self->all = malloc(size * chunk * sizeof *self->all);
    self->sorted = malloc(size * sizeof *self->sorted);
    if (!self->rounds || !self->steps || !self->own || !self->all || !self->sorted)
        return ls_fail(error, LS_FAILED, "out of memory");
    return all_alike(self, updates, error);
}

void balance_close(balance *self) {
    free(self->rounds);
    free(self->steps);
    free(self->own);
    free(self->all);
    free(self->sorted);
    *self = (balance){0};
}

void balance_start(balance *self) {
    self->round_count = self->step_count = 0;
}

static double compared(const balance *self, const step_round *rounds, int count,
                       const double parts[STEP_PARTS]) {
    double seconds = 0;
    if (!self->alike)
        return parts[STEP_FORWARD] + parts[STEP_BACKWARD];
    for (int index = 0; index < count; index++)
        seconds += rounds[index].busy_seconds;
    return seconds;
}

void balance_add(balance *self, const step_round *rounds, int count,
                 const double parts[STEP_PARTS]) {
    self->steps[self->step_count++] = compared(self, rounds, count, parts);
    for (int index = 0; index < count; index++)
        self->rounds[self->round_count++] = rounds[index];
}

/* All ranks time the same steps, and a mode's step has the same rounds everywhere. */
static int check_counts(const balance *self, ls_error *error) {
    int64_t counts[] = {self->round_count, -self->round_count, self->step_count, -self->step_count};
    LS_TRY(comm_allreduce_int64(self->control, counts, 4, REDUCTION_MAX, error));
    if (counts[0] == -counts[1] && counts[2] == -counts[3])
        return LS_OK;
    return ls_fail(error, LS_FAILED,
                   "the ranks timed %lld to %lld steps in %lld to %lld rounds: they cannot be "
                   "compared",
                   (long long)-counts[3], (long long)counts[2], (long long)-counts[1],
                   (long long)counts[0]);
}

/* all[rank * count + index] becomes every rank's own[index]. */
static int gather(balance *self, int64_t count, ls_error *error) {
    return comm_allgather_bytes(self->control, self->own, self->all,
                                (size_t)count * sizeof *self->own, error);
}

static int64_t next_chunk(const balance *self, int64_t done, int64_t whole) {
    return whole - done < self->chunk ? whole - done : self->chunk;
}

static double longest(const balance *self, int64_t count, int64_t index) {
    double most = 0;
    for (int rank = 0; rank < self->control->size; rank++)
        most = fmax(most, self->all[rank * count + index]);
    return most;
}

static int compare_rounds(balance *self, double *waiting_seconds, ls_error *error) {
    *waiting_seconds = 0;
    for (int64_t done = 0, count; done < self->round_count; done += count) {
        const step_round *rounds = self->rounds + done;
        count = next_chunk(self, done, self->round_count);
        for (int64_t index = 0; index < count; index++)
            self->own[index] = rounds[index].busy_seconds;
        LS_TRY(gather(self, count, error));
        for (int64_t index = 0; index < count; index++)
            *waiting_seconds += fmin(rounds[index].exposed_seconds,
                                     longest(self, count, index) - rounds[index].busy_seconds);
    }
    return LS_OK;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Of the other ranks, of which there is one at least. */
static double median_of_others(balance *self, int64_t count, int64_t index) {
    int others = 0;
    for (int rank = 0; rank < self->control->size; rank++)
        if (rank != self->control->rank)
            self->sorted[others++] = self->all[rank * count + index];
    qsort(self->sorted, (size_t)others, sizeof *self->sorted, by_value);
    return (self->sorted[(others - 1) / 2] + self->sorted[others / 2]) / 2;
}

static int compare_steps(balance *self, rank_pace *pace, ls_error *error) {
    *pace = (rank_pace){0};
    if (self->control->size == 1)
        return LS_OK;
    for (int64_t done = 0, count; done < self->step_count; done += count) {
        count = next_chunk(self, done, self->step_count);
        for (int64_t index = 0; index < count; index++)
            self->own[index] = self->steps[done + index];
        LS_TRY(gather(self, count, error));
        for (int64_t index = 0; index < count; index++) {
            double own = self->steps[done + index], others = median_of_others(self, count, index);
            pace->steps++;
            pace->longer_steps += own > others;
            pace->slow_steps += own > others && own >= (1 + PACE_SLOW) * others;
            pace->own_seconds += own;
            pace->others_seconds += others;
        }
    }
    return LS_OK;
}

int balance_compare(balance *self, double *waiting_seconds, rank_pace *pace, ls_error *error) {
    LS_TRY(check_counts(self, error));
    LS_TRY(compare_rounds(self, waiting_seconds, error));
    return compare_steps(self, pace, error);
}
