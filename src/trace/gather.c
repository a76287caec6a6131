/* All ranks' spans on rank 0, in its clock. */
#include "base/clock.h"
#include "trace/trace_state.h"

#include <math.h>
#include <stdlib.h>

enum { BARRIERS = 32 };

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Ranks leave a barrier at nearly one moment: the median over many, and how far the middle half
 * lies apart. */
static trace_alignment compare(const double *mine, const double *first) {
    double apart[BARRIERS];
    for (int turn = 0; turn < BARRIERS; turn++)
        apart[turn] = mine[turn] - first[turn];
    qsort(apart, BARRIERS, sizeof *apart, by_value);
    return (trace_alignment){.at = mine[BARRIERS - 1],
                             .offset_seconds = apart[BARRIERS / 2],
                             .spread_seconds = apart[3 * BARRIERS / 4] - apart[BARRIERS / 4]};
}

int trace_align(trace *self, comm *control, ls_error *error) {
    double mine[BARRIERS];
    double *all = malloc((size_t)control->size * sizeof mine);
    int status = all ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int turn = 0; status == LS_OK && turn < BARRIERS; turn++) {
        status = control->is->barrier(control, error);
        mine[turn] = clock_seconds();
    }
    if (status == LS_OK)
        status = comm_allgather_bytes(control, mine, all, sizeof mine, error);
    if (status == LS_OK && self->alignment_count < TRACE_ALIGNMENTS)
        self->alignments[self->alignment_count++] = compare(mine, all);
    free(all);
    return status;
}

/* Clocks drift: between two measurements the offset lies on a line. */
static double offset_at(const trace *self, double seconds) {
    const trace_alignment *a = &self->alignments[0], *b = &self->alignments[1];
    if (self->alignment_count < TRACE_ALIGNMENTS || b->at - a->at < 1e-3)
        return a->offset_seconds;
    double along = (seconds - a->at) / (b->at - a->at);
    return a->offset_seconds + along * (b->offset_seconds - a->offset_seconds);
}

/* This rank's spans one after the other, in rank 0's clock. */
static span *collect(const trace *self, int rank, size_t *count) {
    size_t most = 1;
    *count = 0;
    for (int row = 0; row < SPAN_ROWS; row++)
        most += (size_t)self->rows[row].capacity;
    span *out = malloc(most * sizeof *out);
    for (int row = 0; out && row < SPAN_ROWS; row++) {
        int spans;
        const span *from = trace_spans(self, (span_row)row, &spans);
        for (int index = 0; index < spans; index++) {
            span *to = &out[(*count)++];
            *to = from[index];
            to->rank = rank;
            to->begin -= offset_at(self, from[index].begin);
            to->end -= offset_at(self, from[index].end);
        }
    }
    return out;
}

static int send(comm *control, const span *mine, const int64_t *counts, span **out, size_t *count,
                ls_error *error) {
    comm_work work = {0};
    int64_t bytes = 0;
    for (int rank = 0; rank < control->size; rank++)
        bytes += counts[rank];
    if (control->rank == 0 && !(*out = malloc((size_t)bytes + 1)))
        return ls_fail(error, LS_FAILED, "no memory for the profile of %d ranks", control->size);
    *count = (size_t)bytes / sizeof **out;
    LS_TRY(control->is->gather(control, NULL, mine, *out, counts, DTYPE_U8, 0, &work, error));
    return control->is->wait(control, NULL, &work, error);
}

/* 0 where the first of them begins. */
static void shift(span *spans, size_t count) {
    double start = INFINITY;
    for (size_t index = 0; index < count; index++)
        start = fmin(start, spans[index].begin);
    for (size_t index = 0; index < count; index++) {
        spans[index].begin -= start;
        spans[index].end -= start;
    }
}

static int gather(trace *self, comm *control, int64_t *counts, span **out, size_t *count,
                  ls_error *error) {
    size_t spans;
    span *mine = collect(self, control->rank, &spans);
    int64_t bytes = (int64_t)(spans * sizeof *mine);
    int status = mine ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = comm_allgather_bytes(control, &bytes, counts, sizeof bytes, error);
    if (status == LS_OK)
        status = send(control, mine, counts, out, count, error);
    free(mine);
    return status;
}

int trace_gather(trace *self, comm *control, span **out, size_t *count, int64_t *lost,
                 double *uncertainty_seconds, ls_error *error) {
    int64_t *counts = calloc((size_t)control->size, sizeof *counts);
    *out = NULL;
    *count = 0;
    *lost = self->lost;
    *uncertainty_seconds = 0;
    for (int index = 0; index < self->alignment_count; index++)
        *uncertainty_seconds = fmax(*uncertainty_seconds, self->alignments[index].spread_seconds);
    int status = counts ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = gather(self, control, counts, out, count, error);
    free(counts);
    if (status == LS_OK)
        status = comm_allreduce_int64(control, lost, 1, REDUCTION_SUM, error);
    if (status == LS_OK)
        status = comm_allreduce_double(control, uncertainty_seconds, 1, REDUCTION_MAX, error);
    if (status == LS_OK && control->rank == 0)
        shift(*out, *count);
    return status;
}
