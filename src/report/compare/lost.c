#include "report/compare/lost.h"

#include "report/run/straggler.h"
#include "report/text/number.h"

#include <math.h>

/* Of pair `index`: what the ranks spent together less what the baseline spent, over all they had.
 */
static double part_of_pair(const finished_run *baseline, const finished_run *run,
                           const char *column) {
    double ranks = finished_run_number(run, "ranks");
    double spent = ranks * finished_run_number(run, column);
    double needed = finished_run_number(baseline, "ranks") * finished_run_number(baseline, column);
    return (spent - needed) / (ranks * finished_run_number(run, "training_seconds"));
}

static double part(const configuration *baseline, const compared *row, const char *column) {
    double sum = 0;
    for (size_t index = 0; index < row->speedup.pairs; index++)
        sum += part_of_pair(baseline->runs[index], row->self->runs[index], column);
    return sum / (double)row->speedup.pairs;
}

static bool waiting_measured(const compared *row) {
    for (size_t index = 0; index < row->speedup.pairs; index++)
        if (isnan(finished_run_number(row->self->runs[index], "waiting_seconds")))
            return false;
    return true;
}

/* The baseline, one rank, waits for nobody. */
static double waiting(const compared *row) {
    double sum = 0;
    for (size_t index = 0; index < row->speedup.pairs; index++)
        sum += finished_run_number(row->self->runs[index], "waiting_seconds") /
               finished_run_number(row->self->runs[index], "training_seconds");
    return sum / (double)row->speedup.pairs;
}

lost_shares lost_of(const configuration *baseline, const compared *row) {
    double ranks = finished_run_number(row->self->runs[0], "ranks");
    lost_shares out = {.efficiency = row->speedup.ratio.centre / ranks,
                       .waiting = NAN,
                       .transfer = part(baseline, row, "exposed_communication_seconds"),
                       .data = part(baseline, row, "data_seconds"),
                       .forward = part(baseline, row, "forward_seconds"),
                       .backward = part(baseline, row, "backward_seconds"),
                       .optimizer = part(baseline, row, "optimizer_seconds")};
    out.rest =
        1 - out.efficiency - out.transfer - out.data - out.forward - out.backward - out.optimizer;
    if (waiting_measured(row)) {
        out.waiting = waiting(row);
        out.transfer -= out.waiting;
    }
    return out;
}

static void add_row(table *out, const compared *row, const lost_shares *lost) {
    bool unknown = isnan(lost->waiting) && !isnan(lost->transfer);
    table_cell(out, "%s", row->self->name);
    table_cell(out, "%s", percent(lost->efficiency, 1).text);
    table_cell(out, "%s", percent(1 - lost->efficiency, 1).text);
    table_cell(out, "%s", percent(lost->waiting, 1).text);
    table_cell(out, "%s%s", percent(lost->transfer, 1).text, unknown ? " *" : "");
    table_cell(out, "%s", percent(lost->data, 1).text);
    table_cell(out, "%s", percent(lost->forward, 1).text);
    table_cell(out, "%s", percent(lost->backward, 1).text);
    table_cell(out, "%s", percent(lost->optimizer, 1).text);
    table_cell(out, "%s", percent(lost->rest, 1).text);
}

static void add_notes(text_buffer *out, bool unknown, bool missing) {
    text_add(out,
             "\nShares of ranks x training time, each less what the baseline spent on it: "
             "efficiency + lost = 100%%, and the columns after `Lost` sum to it. Below 0: less "
             "than the baseline's. Waiting is for the slowest rank, transfer the rest of the "
             "exposed communication.\n");
    if (unknown)
        text_add(out,
                 "\n* with the waiting for the slowest rank, which these runs did not measure\n");
    if (missing)
        text_add(out, "\n-: a run without this phase in its summary.csv\n");
}

static void add_table(text_buffer *out, const comparison *self, table_format format) {
    static const table_column columns[] = {
        {"Where the efficiency went", true},
        {"Efficiency", false},
        {"Lost", false},
        {"Waiting", false},
        {"Transfer", false},
        {"Data", false},
        {"Forward", false},
        {"Backward", false},
        {"Optimizer", false},
        {"Rest", false},
    };
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    bool unknown = false, missing = false;
    for (size_t row = 0; row < self->count; row++) {
        lost_shares lost = lost_of(self->baseline, &self->rows[row]);
        add_row(&rows, &self->rows[row], &lost);
        missing |= isnan(lost.rest);
        unknown |= isnan(lost.waiting) && !isnan(lost.transfer);
    }
    text_add(out, "\n");
    table_print(&rows, format, "", out);
    add_notes(out, unknown, missing);
    table_free(&rows);
}

/* Each run has its verdict: its name in front. */
static void add_stragglers(text_buffer *out, const configuration *self) {
    for (size_t index = 0; index < self->count; index++) {
        const finished_run *run = self->runs[index];
        const finished_ranks *ranks = run->ranks;
        text_buffer before = {0};
        text_add(&before, "%s: ", run->folder);
        if (ranks && before.bytes)
            straggler_text(out, before.bytes, ranks->facts, ranks->sums, ranks->count,
                           finished_run_number(run, "training_seconds"));
        out->failed |= before.failed;
        text_free(&before);
    }
}

void lost_text(text_buffer *out, const comparison *self, table_format format) {
    text_buffer verdicts = {0};
    if (self->count > 0)
        add_table(out, self, format);
    add_stragglers(&verdicts, self->baseline);
    for (size_t row = 0; row < self->count; row++)
        add_stragglers(&verdicts, self->rows[row].self);
    if (verdicts.length > 0)
        text_add(out, "\n%s", verdicts.bytes);
    out->failed |= verdicts.failed;
    text_free(&verdicts);
}

static void add_number(table *out, double value) {
    if (isnan(value))
        table_cell(out, "%s", "");
    else
        table_cell(out, "%.9g", value);
}

/* The lines of the verdicts, with a space for each line's end. */
static void add_verdict_cell(table *out, const configuration *self) {
    text_buffer verdicts = {0};
    add_stragglers(&verdicts, self);
    for (size_t at = 0; at < verdicts.length; at++)
        if (verdicts.bytes[at] == '\n')
            verdicts.bytes[at] = at + 1 < verdicts.length ? ' ' : '\0';
    out->failed |= verdicts.failed;
    table_cell(out, "%s", verdicts.bytes ? verdicts.bytes : "");
    text_free(&verdicts);
}

void lost_csv_cells(table *out, const comparison *self, const compared *row) {
    lost_shares lost = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, NAN};
    if (row)
        lost = lost_of(self->baseline, row);
    const double cells[] = {lost.waiting,  lost.transfer,  lost.data, lost.forward,
                            lost.backward, lost.optimizer, lost.rest};
    for (size_t index = 0; index < sizeof cells / sizeof cells[0]; index++)
        add_number(out, cells[index]);
    add_verdict_cell(out, row ? row->self : self->baseline);
}
