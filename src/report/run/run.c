#include "report/run/run.h"

#include "base/atomic_file.h"
#include "base/claim.h"
#include "base/row_file.h"
#include "report/facts/derive.h"
#include "report/facts/epoch_columns.h"
#include "report/facts/facts.h"
#include "report/facts/files.h"
#include "report/run/certificate_file.h"
#include "report/run/chrome_trace.h"
#include "report/run/earlier.h"
#include "report/run/events_run.h"
#include "report/run/log.h"
#include "report/run/ranks_csv.h"
#include "report/run/run_text.h"
#include "report/text/number.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct run {
    run_facts facts; /* owned */
    char folder[2048];
    folder_claim *claim;
    run_log log;
    run_events *events; /* NULL: none */
    row_file *epochs;
    text_buffer epoch_rows; /* with the titles */
    int epoch_count;
    ranks_csv ranks;
};

typedef struct run_path {
    char text[2112];
} run_path;

static run_path path_in(const char *folder, const char *name) {
    run_path path;
    format_plain(path.text, sizeof path.text, "%s/%s", folder, name);
    return path;
}

/* The names of the columns, and what earlier attempts had. */
static int create_epochs(run *self, const run_past *past, ls_error *error) {
    column_table_names(&self->epoch_rows, &epoch_columns);
    for (int index = 0; index < past->epoch_count; index++)
        epoch_add_row(&self->epoch_rows, &past->epochs[index]);
    self->epoch_count = past->epoch_count;
    LS_TRY(text_buffer_check(&self->epoch_rows, error));
    return row_file_create(path_in(self->folder, EPOCHS_FILE).text, self->epoch_rows.bytes,
                           self->epoch_rows.length, &self->epochs, error);
}

static int add_epoch(run *self, const epoch_record *epoch, ls_error *error) {
    text_buffer row = {0};
    epoch_add_row(&row, epoch);
    int status = text_buffer_check(&row, error);
    if (status == LS_OK)
        status = row_file_add(self->epochs, row.bytes, row.length, error);
    if (status == LS_OK)
        text_add_bytes(&self->epoch_rows, row.bytes, row.length);
    text_free(&row);
    return status;
}

static int write_summary(const run *self, const run_totals *totals, ls_error *error) {
    run_derived derived;
    text_buffer file = {0};
    run_derive(&derived, &self->facts, totals);
    column_table_names(&file, &summary_columns);
    column_table_row(
        &file, &summary_columns,
        (const void *const[SUMMARY_PARTS]){
            [PART_FACTS] = &self->facts, [PART_TOTALS] = totals, [PART_DERIVED] = &derived});
    run_derived_free(&derived);
    int status = text_buffer_check(&file, error);
    if (status == LS_OK)
        status = atomic_file_write(path_in(self->folder, SUMMARY_FILE).text, file.bytes,
                                   file.length, error);
    text_free(&file);
    return status;
}

bool run_is_finished(const char *folder) {
    return access(path_in(folder, SUMMARY_FILE).text, F_OK) == 0;
}

static int check_unused(const char *folder, ls_error *error) {
    if (run_is_finished(folder))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: already holds the results of a run (summary.csv): expected a new or "
                       "unfinished run's folder",
                       folder);
    return LS_OK;
}

/* What makes the place unusable whatever the disk holds: that is bad input, and a full disk is a
 * failure. */
static int check_writable(const char *folder, ls_error *error) {
    static const char *const names[] = {EPOCHS_FILE, LOG_FILE};
    if (access(folder, W_OK | X_OK) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot write", folder);
    for (size_t index = 0; index < sizeof names / sizeof names[0]; index++) {
        struct stat found;
        run_path path = path_in(folder, names[index]);
        if (stat(path.text, &found) == 0 && S_ISDIR(found.st_mode))
            return ls_fail(error, LS_BAD_INPUT, "%s: expected a file, found a folder", path.text);
    }
    return LS_OK;
}

/* The event file has no rows to take over: each is told again. */
static int open_events(run *self, const run_past *past, ls_error *error) {
    LS_TRY(run_events_open(self->folder, &self->facts, &self->events, error));
    for (int index = 0; index < past->epoch_count; index++)
        LS_TRY(run_events_epoch(self->events, &past->epochs[index], error));
    return LS_OK;
}

static int open_in(run *self, const char *folder, const run_facts *facts, const run_past *past,
                   ls_error *error) {
    static const run_past none = {.log = "", .ranks = ""};
    bool goes_on = past != NULL;
    past = goes_on ? past : &none;
    if (strlen(folder) >= sizeof self->folder)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is longer than %zu bytes", folder,
                       sizeof self->folder - 1);
    format_plain(self->folder, sizeof self->folder, "%s", folder);
    LS_TRY(folder_create(folder, error));
    if (!goes_on)
        LS_TRY(check_unused(folder, error));
    LS_TRY(check_writable(folder, error));
    LS_TRY(claim_take(folder, &self->claim, error));
    if (goes_on && unlink(path_in(folder, SUMMARY_FILE).text) != 0 && errno != ENOENT)
        return ls_fail_errno(error, ls_place_code(errno), "%s: cannot remove",
                             path_in(folder, SUMMARY_FILE).text);
    LS_TRY(check_unused(folder, error)); /* a run that held it may have finished meanwhile */
    LS_TRY(run_facts_copy(&self->facts, facts, error));
    earlier_remove(folder);
    text_add(&self->ranks.past, "%s", past->ranks);
    LS_TRY(create_epochs(self, past, error));
    LS_TRY(log_open(&self->log, path_in(self->folder, LOG_FILE).text, past->log, error));
    return facts->tensorboard ? open_events(self, past, error) : LS_OK;
}

int run_open(const char *folder, const run_facts *facts, const run_past *past, run **out,
             ls_error *error) {
    *out = NULL;
    if (!facts)
        return LS_OK;
    run *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: no memory for the run's records", folder);
    self->log.progress.terminal = -1;
    int status = open_in(self, folder, facts, past, error);
    if (status != LS_OK)
        run_close(self);
    else
        *out = self;
    return status;
}

/* Writes the lines and frees them. */
static int say(run *self, text_buffer *lines, ls_error *error) {
    int status = log_write(&self->log, lines, error);
    text_free(lines);
    return status;
}

int run_header(run *self, ls_error *error) {
    if (!self)
        return LS_OK;
    text_buffer lines = {0};
    header_text(&lines, &self->facts);
    return say(self, &lines, error);
}

bool run_wants_progress(const run *self) {
    return self && progress_due(&self->log.progress);
}

void run_progress(run *self, int epoch, int64_t step, int64_t steps, double images_per_second,
                  double loss) {
    if (!self || !progress_due(&self->log.progress))
        return;
    progress_show(&self->log.progress,
                  "epoch %d/%d  step %" PRId64 "/%" PRId64 "  %d%%  loss %s  %s images/s", epoch,
                  self->facts.epochs, step, steps, steps > 0 ? (int)(100 * step / steps) : 0,
                  number(loss, 4).text, number(images_per_second, 0).text);
}

int run_remember(run *self, text_buffer *epochs, text_buffer *log, text_buffer *ranks,
                 ls_error *error) {
    text_add_bytes(epochs, self->epoch_rows.bytes, self->epoch_rows.length);
    text_add_bytes(log, self->log.said.bytes, self->log.said.length);
    ranks_csv_rows(&self->ranks, self->facts.rank_list, self->facts.ranks, ranks);
    LS_TRY(text_buffer_check(epochs, error));
    LS_TRY(text_buffer_check(log, error));
    return text_buffer_check(ranks, error);
}

/* Without the rows of each epoch there is none: earlier ones may have been trained on other ranks.
 */
static bool has_ranks(const run *self) {
    int rows = self->ranks.epoch_count * self->facts.ranks;
    for (size_t at = 0; at < self->ranks.past.length; at++)
        rows += self->ranks.past.bytes[at] == '\n';
    return rows > 0 && self->facts.rank_list && rows == self->epoch_count * self->facts.ranks;
}

/* At the end alone: with many ranks and epochs it is no small file. */
static int write_ranks(const run *self, ls_error *error) {
    if (!has_ranks(self))
        return LS_OK;
    return ranks_csv_write(&self->ranks, path_in(self->folder, RANKS_FILE).text,
                           self->facts.rank_list, self->facts.ranks, error);
}

int run_epoch(run *self, const epoch_record *epoch, ls_error *error) {
    if (!self)
        return LS_OK;
    epoch_record kept = *epoch;
    if (epoch->ranks)
        LS_TRY(ranks_csv_add(&self->ranks, epoch->epoch, epoch->ranks, self->facts.ranks, error));
    else
        kept.phases.waiting = NAN;
    text_buffer lines = {0};
    if (self->epoch_count++ == 0)
        epoch_titles_text(&lines);
    epoch_text(&lines, epoch);
    LS_TRY(say(self, &lines, error));
    LS_TRY(claim_check(self->claim, error));
    LS_TRY(add_epoch(self, &kept, error));
    return run_events_epoch(self->events, epoch, error);
}

int run_step(run *self, int64_t step, double loss, ls_error *error) {
    return self ? run_events_step(self->events, step, loss, error) : LS_OK;
}

int run_note(run *self, ls_error *error, const char *format, ...) {
    if (!self)
        return LS_OK;
    text_buffer lines = {0};
    va_list values;
    va_start(values, format);
    text_add_list(&lines, format, values);
    va_end(values);
    text_add(&lines, "\n");
    return say(self, &lines, error);
}

static void describe_profile(text_buffer *out, const run_facts *facts, const run_profile *profile) {
    text_add(out, "%d step%s in " TRACE_FILE ", %zu spans", profile->rates.steps,
             profile->rates.steps == 1 ? "" : "s", profile->span_count);
    if (profile->lost > 0)
        text_add(out, ", %" PRId64 " more for which there was no room", profile->lost);
    if (facts->ranks > 1)
        text_add(out, "; clocks of the ranks aligned at barriers, within %s us",
                 number(profile->uncertainty_seconds * 1e6, 1).text);
    if (profile->eager)
        text_add(out,
                 "; these steps were launched one call at a time, each range between two events "
                 "and the update at the end, the others as a CUDA graph: their rows say how a step "
                 "divides and are no measure of the whole, which is the line 'a step of ... "
                 "images' below");
}

int run_write_profile(run *self, const run_profile *profile, ls_error *error) {
    if (!self)
        return LS_OK;
    text_buffer lines = {0}, note = {0};
    describe_profile(&note, &self->facts, profile);
    int status = text_buffer_check(&note, error);
    if (status == LS_OK)
        status = chrome_trace_write(self->folder, &self->facts, profile->spans, profile->span_count,
                                    note.bytes, error);
    if (status == LS_OK)
        status = layer_table_write(self->folder, profile->rows, profile->row_count, error);
    layer_table_text(&lines, profile->rows, profile->row_count, &profile->rates);
    text_add(&lines, "%s\n", note.bytes ? note.bytes : "");
    text_free(&note);
    if (status == LS_OK)
        return say(self, &lines, error);
    text_free(&lines);
    return status;
}

/* The summary comes last: where it stands, everything else is on the disk. */
int run_finish(run *self, const run_totals *totals, ls_error *error) {
    if (!self)
        return LS_OK;
    text_buffer lines = {0};
    closing_text(&lines, &self->facts, totals);
    text_add(&lines, "results in %s: %s, %s, %s%s%s%s%s%s\n", self->folder, SUMMARY_FILE,
             EPOCHS_FILE ", " ATTEMPTS_FILE, has_ranks(self) ? RANKS_FILE ", " : "", LOG_FILE,
             self->facts.profile_steps ? ", " LAYERS_FILE ", " TRACE_FILE : "",
             self->facts.certificate_version > 0 ? ", " CERTIFICATE_FILE : "",
             self->events ? ", " : "", self->events ? run_events_name(self->events) : "");
    LS_TRY(say(self, &lines, error));
    LS_TRY(log_sync(&self->log, error));
    LS_TRY(row_file_sync(self->epochs, error));
    LS_TRY(write_ranks(self, error));
    LS_TRY(claim_check(self->claim, error));
    LS_TRY(check_unused(self->folder, error));
    return write_summary(self, totals, error);
}

void run_close(run *self) {
    if (!self)
        return;
    log_close(&self->log);
    run_events_close(self->events);
    row_file_close(self->epochs);
    ranks_csv_free(&self->ranks);
    text_free(&self->epoch_rows);
    claim_release(self->claim);
    run_facts_free(&self->facts);
    free(self);
}
