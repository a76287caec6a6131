#include "report/facts/attempt_columns.h"

#include "report/facts/files.h"
#include "report/text/csv.h"

#include <math.h>
#include <stdlib.h>

typedef struct attempt_derived {
    int format_version;
} attempt_derived;

enum { PART_ATTEMPT, PART_DERIVED };
#define COLUMN(of_type, of_name, of_part, record, member, ...)                                     \
    {                                                                                              \
        .name = of_name, .type = COLUMN_##of_type, .part = of_part,                                \
        .offset = offsetof(record, member), __VA_ARGS__                                            \
    }
#define ATTEMPT(type, name, ...)                                                                   \
    COLUMN(type, #name, PART_ATTEMPT, attempt_record, name, __VA_ARGS__)
#define TEXT(name, ...)                                                                            \
    COLUMN(ID, #name, PART_ATTEMPT, attempt_record, name,                                          \
           .room = sizeof((attempt_record){0}.name), __VA_ARGS__)

static const column columns[] = {
    COLUMN(INT, "format_version", PART_DERIVED, attempt_derived, format_version,
           .need = NEEDS_WHOLE, .meaning = "as in summary.csv"),
    ATTEMPT(INT, attempt, .need = NEEDS_COUNT, .meaning = "from 1"),
    TEXT(started, .meaning = "ISO 8601, with zone"),
    TEXT(slurm_job_id, .meaning = "empty outside of Slurm"),
    ATTEMPT(INT, ranks, .meaning = "that it ran on"),
    ATTEMPT(REAL, queue_seconds, .unit = "s",
            .meaning = "that its job waited for its nodes, where the job script says so "
                       "(`LOCKSTEP_QUEUE_SECONDS`)"),
    ATTEMPT(REAL, start_seconds, .unit = "s",
            .meaning = "from the start of the process to the first step; empty: it came to none"),
    ATTEMPT(REAL, training_seconds, .unit = "s", .meaning = "in its steps"),
    ATTEMPT(REAL, evaluation_seconds, .unit = "s", .meaning = "of test images"),
    COLUMN(REAL, "checkpoint_blocked_seconds", PART_ATTEMPT, attempt_record, blocked_seconds,
           .unit = "s", .meaning = "in which training stood still for checkpoints"),
    ATTEMPT(REAL, total_seconds, .unit = "s", .meaning = "of the process"),
    ATTEMPT(INT64, first_step, .meaning = "that it went on from; 0: it began the run"),
    ATTEMPT(INT64, last_step, .meaning = "that it came to"),
    ATTEMPT(INT64, saved_step, .meaning = "of its last checkpoint; 0: it saved none"),
    ATTEMPT(INT64, lost_steps, .meaning = "the last of these, which a later attempt did again"),
    ATTEMPT(REAL, lost_seconds, .unit = "s", .meaning = "their share of `training_seconds`"),
    TEXT(ended, .meaning =
                    "`finished`, `time limit`, a signal's name, `failure`; `running`; `killed`: "
                    "without a word, as the next attempt found; its numbers are a second old"),
};

const column_table attempt_columns = {
    .file = ATTEMPTS_FILE,
    .about =
        "A row an attempt at the run: a start of the program, of which each but the first went "
        "on from a checkpoint, or began anew.",
    .columns = columns,
    .count = sizeof columns / sizeof columns[0]};

void attempt_add_row(text_buffer *out, const attempt_record *attempt) {
    attempt_derived derived = {.format_version = SUMMARY_FORMAT_VERSION};
    column_table_row(out, &attempt_columns, (const void *const[]){attempt, &derived});
}

void attempts_find_lost(attempt_record *list, int count) {
    int64_t kept = INT64_MAX; /* what the later ones did not do again */
    for (int index = count - 1; index >= 0; index--) {
        attempt_record *each = &list[index];
        int64_t next = index + 1 < count ? list[index + 1].first_step : 0;
        if (each->last_step < next)
            each->last_step = next; /* so far it came, after its row's last second */
        int64_t steps = each->last_step - each->first_step;
        int64_t done = kept - each->first_step;
        each->lost_steps = done >= steps ? 0 : done > 0 ? steps - done : steps;
        each->lost_seconds =
            steps > 0 ? each->training_seconds * (double)each->lost_steps / (double)steps : 0;
        kept = each->first_step < kept ? each->first_step : kept;
    }
}

attempt_sums attempts_sum(const attempt_record *list, int count) {
    attempt_sums sums = {.attempts = count};
    double useful = 0;
    for (int index = 0; index < count; index++) {
        const attempt_record *each = &list[index];
        sums.lost_steps += each->lost_steps;
        sums.lost_seconds += each->lost_seconds;
        sums.total_seconds += each->total_seconds;
        useful += each->training_seconds + each->evaluation_seconds - each->lost_seconds;
    }
    sums.goodput = sums.total_seconds > 0 ? useful / sums.total_seconds : NAN;
    return sums;
}

static int read_row(const char *path, const csv_table *table, size_t row, attempt_record *out,
                    ls_error *error) {
    attempt_derived derived;
    for (size_t index = 0; index < sizeof columns / sizeof columns[0]; index++) {
        const char *text = csv_get(table, row, columns[index].name);
        if (!column_parse(&columns[index], text ? text : "", (void *const[]){out, &derived}))
            return ls_fail(error, LS_BAD_INPUT, "%s: row %zu: %s: expected a number, found '%.80s'",
                           path, row + 1, columns[index].name, text);
    }
    bool possible = out->attempt == (int)row + 1 && out->first_step >= 0 &&
                    out->last_step >= out->first_step && out->total_seconds >= 0 &&
                    out->training_seconds >= 0 && out->evaluation_seconds >= 0;
    if (possible)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: row %zu cannot be: it was changed", path, row + 1);
}

int attempts_read(const char *path, attempt_record **out, int *count, ls_error *error) {
    csv_table table;
    *out = NULL;
    *count = 0;
    LS_TRY(csv_read(&table, path, error));
    attempt_record *rows = calloc(table.rows + 1, sizeof *rows);
    int status = rows ? LS_OK : ls_fail(error, LS_FAILED, "%s: out of memory", path);
    for (size_t row = 0; status == LS_OK && row < table.rows; row++)
        status = read_row(path, &table, row, &rows[row], error);
    if (status == LS_OK) {
        *out = rows;
        *count = (int)table.rows;
    } else
        free(rows);
    csv_free(&table);
    return status;
}
