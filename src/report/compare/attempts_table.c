#include "report/compare/attempts_table.h"

#include "report/facts/files.h"
#include "report/text/duration.h"
#include "report/text/number.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

static int read_run(attempted_runs *out, const finished_run *run, ls_error *error) {
    char path[4200];
    attempted_run *self = &out->items[out->count];
    self->run = run;
    format_plain(path, sizeof path, "%.4096s/" ATTEMPTS_FILE, run->folder);
    LS_TRY(attempts_read(path, &self->attempts, &self->count, error));
    attempts_find_lost(self->attempts, self->count);
    out->count++;
    return LS_OK;
}

static size_t count_runs(const configuration_list *configurations) {
    size_t runs = 0;
    for (size_t index = 0; index < configurations->count; index++)
        runs += configurations->items[index].count;
    return runs;
}

int attempted_runs_read(attempted_runs *out, const configuration_list *configurations,
                        complaints *complaints, ls_error *error) {
    *out = (attempted_runs){.items = calloc(count_runs(configurations) + 1, sizeof *out->items)};
    if (!out->items)
        return ls_fail(error, LS_FAILED, "report: no memory for the runs' attempts");
    int status = LS_OK;
    for (size_t index = 0; index < configurations->count; index++)
        for (size_t run = 0; run < configurations->items[index].count && status == LS_OK; run++) {
            const finished_run *from = configurations->items[index].runs[run];
            if (finished_run_number(from, "attempts") > 1 && read_run(out, from, error) != LS_OK)
                status = complaints_add(complaints, error);
        }
    return status;
}

void attempted_runs_free(attempted_runs *self) {
    for (size_t index = 0; index < self->count; index++)
        free(self->items[index].attempts);
    free(self->items);
    *self = (attempted_runs){0};
}

static void add_attempt(table *out, const finished_run *run, const attempt_record *attempt) {
    table_cell(out, "%s", run->folder);
    table_cell(out, "%d", attempt->attempt);
    table_cell(out, "%s", attempt->started);
    table_cell(out, "%d", attempt->ranks);
    table_cell(out, "%s", duration(attempt->queue_seconds).text);
    table_cell(out, "%s", duration(attempt->start_seconds).text);
    table_cell(out, "%s", duration(attempt->training_seconds).text);
    table_cell(out, "%s", duration(attempt->evaluation_seconds).text);
    table_cell(out, "%s", duration(attempt->total_seconds).text);
    table_cell(out, "%" PRId64 " to %" PRId64, attempt->first_step, attempt->last_step);
    table_cell(out, "%" PRId64, attempt->lost_steps);
    table_cell(out, "%s", attempt->ended);
}

void attempts_table(text_buffer *out, const attempted_runs *self, table_format format) {
    static const table_column columns[] = {
        {"Run", true},           {"Attempt", false}, {"Started", true},     {"Ranks", false},
        {"In the queue", false}, {"Start", false},   {"Training", false},   {"Evaluation", false},
        {"In all", false},       {"Steps", false},   {"Lost steps", false}, {"Ended by", true},
    };
    const char *strong = format == TABLE_MARKDOWN ? "**" : "";
    if (self->count == 0)
        return;
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (size_t index = 0; index < self->count; index++)
        for (int attempt = 0; attempt < self->items[index].count; attempt++)
            add_attempt(&rows, self->items[index].run, &self->items[index].attempts[attempt]);
    text_add(out, "%sAttempts%s: runs that went on from checkpoints\n%s", strong, strong,
             format == TABLE_MARKDOWN ? "\n" : "");
    table_print(&rows, format, "", out);
    text_add(out, "\n");
    for (size_t index = 0; index < self->count; index++) {
        attempt_sums sums = attempts_sum(self->items[index].attempts, self->items[index].count);
        text_add(
            out,
            "%s%s: goodput %s (training and evaluation that was not lost, over the time of all "
            "attempts); %" PRId64 " steps were done again\n",
            format == TABLE_MARKDOWN ? "- " : "", self->items[index].run->folder,
            percent(sums.goodput, 1).text, sums.lost_steps);
    }
    table_free(&rows);
}
