#include "report/ranks_csv.h"

#include "base/atomic_file.h"
#include "report/gpu_text.h"
#include "report/summary.h"

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

static void put_clocks(csv_row *row, const gpu_clocks *clocks) {
    text_buffer reasons = {0};
    if (clocks->throttle_known)
        throttle_text(&reasons, clocks->throttle_reasons);
    csv_put_number(row, "sm_clock_mhz", clocks->sm_clock_hertz / 1e6);
    csv_put_text(row, "clocks_held_back_by", reasons.bytes ? reasons.bytes : "");
    row->values.failed |= reasons.failed;
    text_free(&reasons);
}

static void put_pace(csv_row *row, const rank_pace *pace) {
    csv_put_integer(row, "compared_steps", pace->steps);
    csv_put_integer(row, "longer_steps", pace->longer_steps);
    csv_put_integer(row, "slow_steps", pace->slow_steps);
    csv_put_number(row, "compared_seconds", pace->own_seconds);
    csv_put_number(row, "others_compared_seconds", pace->others_seconds);
}

static void rank_row(csv_row *row, int epoch, const rank_facts *facts, const rank_epoch *rank) {
    const phase_seconds *p = &rank->phases;
    csv_put_integer(row, "format_version", SUMMARY_FORMAT_VERSION);
    csv_put_integer(row, "epoch", epoch);
    csv_put_integer(row, "rank", facts->rank);
    csv_put_text(row, "host", facts->host);
    csv_put_text(row, "device", facts->device);
    csv_put_text(row, "gpu_uuid", facts->gpu_uuid);
    csv_put_number(row, "training_seconds", rank->seconds);
    csv_put_number(row, "busy_seconds", busy_seconds(p));
    csv_put_number(row, "waiting_seconds", p->waiting);
    csv_put_number(row, "transfer_seconds", p->communication - p->waiting);
    csv_put_number(row, "data_seconds", p->data);
    csv_put_number(row, "forward_seconds", p->forward);
    csv_put_number(row, "backward_seconds", p->backward);
    csv_put_number(row, "optimizer_seconds", p->optimizer);
    csv_put_number(row, "other_seconds", other_seconds(rank->seconds, p));
    put_pace(row, &rank->pace);
    put_clocks(row, &rank->clocks);
}

static void add_line(text_buffer *out, csv_row *row, bool names) {
    const text_buffer *line = names ? &row->names : &row->values;
    text_add(out, "%s\n", line->bytes ? line->bytes : "");
    out->failed |= line->failed;
}

static void add_rows(text_buffer *out, const ranks_csv *self, const rank_facts *facts, int count) {
    for (int index = 0; index < self->epoch_count * count; index++) {
        csv_row row = {0};
        rank_row(&row, self->epochs[index / count], &facts[index % count], &self->rows[index]);
        if (index == 0)
            add_line(out, &row, true);
        add_line(out, &row, false);
        csv_row_free(&row);
    }
}

int ranks_csv_write(const ranks_csv *self, const char *path, const rank_facts *facts, int count,
                    ls_error *error) {
    text_buffer file = {0};
    add_rows(&file, self, facts, count);
    int status = text_buffer_check(&file, error);
    if (status == LS_OK)
        status = atomic_file_write(path, file.bytes, file.length, error);
    text_free(&file);
    return status;
}

void ranks_csv_free(ranks_csv *self) {
    free(self->rows);
    free(self->epochs);
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
