#include "report/run/ranks_csv.h"

#include "base/atomic_file.h"
#include "report/facts/files.h"
#include "report/facts/rank_columns.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Doubled, so that an epoch's cost does not grow with their number. */
static int grow(ranks_csv *self, size_t ranks, ls_error *error) {
    size_t capacity = self->capacity ? 2 * self->capacity : 16;
    rank_epoch *rows = realloc(self->rows, capacity * ranks * sizeof *rows);
    if (rows)
        self->rows = rows;
    int *epochs = realloc(self->epochs, capacity * sizeof *epochs);
    if (epochs)
        self->epochs = epochs;
    if (!rows || !epochs)
        return ls_fail(error, LS_FAILED, "no memory for " RANKS_FILE);
    self->capacity = capacity;
    return LS_OK;
}

int ranks_csv_add(ranks_csv *self, int epoch, const rank_epoch *ranks, int count, ls_error *error) {
    size_t before = (size_t)self->epoch_count, size = (size_t)count;
    if (before == self->capacity)
        LS_TRY(grow(self, size, error));
    memcpy(self->rows + before * size, ranks, size * sizeof *self->rows);
    self->epochs[self->epoch_count++] = epoch;
    return LS_OK;
}

void ranks_csv_rows(const ranks_csv *self, const rank_facts *facts, int count, text_buffer *out) {
    if (self->past.length > 0)
        text_add_bytes(out, self->past.bytes, self->past.length);
    for (int index = 0; index < self->epoch_count * count; index++)
        rank_add_row(out, self->epochs[index / count], &facts[index % count], &self->rows[index]);
}

int ranks_csv_write(const ranks_csv *self, const char *path, const rank_facts *facts, int count,
                    ls_error *error) {
    text_buffer file = {0};
    column_table_names(&file, &rank_columns);
    ranks_csv_rows(self, facts, count, &file);
    int status = text_buffer_check(&file, error);
    if (status == LS_OK)
        status = atomic_file_write(path, file.bytes, file.length, error);
    text_free(&file);
    return status;
}

void ranks_csv_free(ranks_csv *self) {
    free(self->rows);
    free(self->epochs);
    text_free(&self->past);
    *self = (ranks_csv){0};
}

static void add_clocks(rank_epoch *sum, const rank_epoch *more) {
    gpu_clocks *clocks = &sum->clocks;
    double before = sum->seconds > 0 ? clocks->sm_clock_hertz : NAN;
    double added = more->clocks.sm_clock_hertz, all = sum->seconds + more->seconds;
    if (isnan(before) || isnan(added))
        clocks->sm_clock_hertz = isnan(before) ? added : before;
    else if (all > 0)
        clocks->sm_clock_hertz = (before * sum->seconds + added * more->seconds) / all;
    clocks->throttle_known |= more->clocks.throttle_known;
    clocks->throttle_reasons |= more->clocks.throttle_reasons;
}

void rank_epoch_add(rank_epoch *sum, const rank_epoch *more) {
    phase_seconds *p = &sum->phases;
    add_clocks(sum, more); /* weighs by the seconds so far */
    sum->seconds += more->seconds;
    p->data += more->phases.data;
    p->forward += more->phases.forward;
    p->backward += more->phases.backward;
    p->communication += more->phases.communication;
    p->optimizer += more->phases.optimizer;
    p->waiting += more->phases.waiting;
    sum->pace.steps += more->pace.steps;
    sum->pace.longer_steps += more->pace.longer_steps;
    sum->pace.slow_steps += more->pace.slow_steps;
    sum->pace.own_seconds += more->pace.own_seconds;
    sum->pace.others_seconds += more->pace.others_seconds;
}
