#include "report/read/finished_run.h"

#include "base/text_buffer.h"
#include "report/facts/facts.h"
#include "report/facts/files.h"

#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

/* lockstep writes points; a spreadsheet of another locale saves "1,5". */
static const char *comma_hint(const char *text) {
    bool comma = text[0] && text[strspn(text, "+-0123456789.,eE")] == '\0' && strchr(text, ',');
    return comma ? " (a decimal comma? lockstep writes points)" : "";
}

static bool is_number(const char *text, double *value) {
    char *end = NULL;
    *value = parse_plain(text, &end);
    return end != text && *end == '\0' && isfinite(*value);
}

/* What a report needs; other columns may come and go. */
static int check_columns(const finished_run *self, ls_error *error) {
    for (size_t index = 0; index < summary_columns.count; index++) {
        const column *is = &summary_columns.columns[index];
        const char *text = csv_get(&self->summary, 0, is->name);
        if (is->need == NEEDS_NOTHING)
            continue;
        if (!text)
            return ls_fail(error, LS_BAD_INPUT, "%s/" SUMMARY_FILE ": column '%s' is missing",
                           self->folder, is->name);
        if (!column_fits(is->need, text))
            return ls_fail(error, LS_BAD_INPUT,
                           "%s/" SUMMARY_FILE ": %s: expected %s, found '%.80s'%s", self->folder,
                           is->name, column_expected(is->need), text,
                           is->need > NEEDS_NAME ? comma_hint(text) : "");
    }
    return LS_OK;
}

/* Before anything else is believed. */
static int check_version(const finished_run *self, ls_error *error) {
    const csv_table *summary = &self->summary;
    if (summary->rows != 1)
        return ls_fail(error, LS_BAD_INPUT, "%s/" SUMMARY_FILE ": expected 1 row, found %zu",
                       self->folder, summary->rows);
    const char *version = csv_get(summary, 0, "format_version");
    double number = 0;
    if (!version)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" SUMMARY_FILE ": column 'format_version' is missing", self->folder);
    if (!is_number(version, &number) || number != SUMMARY_FORMAT_VERSION)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" SUMMARY_FILE ": format version '%.40s' is unknown: this lockstep "
                       "reads version %d%s",
                       self->folder, version, SUMMARY_FORMAT_VERSION,
                       number > SUMMARY_FORMAT_VERSION ? "; a newer one wrote it: use that" : "");
    return LS_OK;
}

/* What was left out of an ablated run makes its time no training time. */
static int refuse_ablated(const finished_run *self, ls_error *error) {
    const char *ablated = csv_get(&self->summary, 0, "ablate");
    if (!ablated || strcmp(ablated, "none") == 0)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: a run with --ablate %.40s is no training: train it without --ablate to "
                   "report it",
                   self->folder, ablated);
}

/* Repeats are ordered by their start. "2026-11-21T20:57:09+0000" */
static int find_start(finished_run *self, ls_error *error) {
    const char *text = finished_run_text(self, "started");
    struct tm broken_down = {0};
    const char *end = strptime(text, "%Y-%m-%dT%H:%M:%S%z", &broken_down);
    if (!end || *end)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" SUMMARY_FILE ": started: expected a time as "
                       "2026-01-31T23:59:59+0000, found '%.80s'",
                       self->folder, text);
    long zone = broken_down.tm_gmtoff; /* timegm takes it for UTC and clears it */
    self->started_seconds = (double)(timegm(&broken_down) - zone);
    return LS_OK;
}

/* Columns that follow from others: where they do not, somebody changed one of them. */
static int check_consistent(const finished_run *self, ls_error *error) {
    double found = finished_run_number(self, "images_per_second");
    double images = finished_run_number(self, "images");
    double rate = images / finished_run_number(self, "training_seconds");
    if (fabs(found - rate) > 1e-6 * rate)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" SUMMARY_FILE ": images_per_second is %.9g, but images / "
                       "training_seconds is %.9g: the file was changed after the run",
                       self->folder, found, rate);
    if (strcmp(finished_run_text(self, "mode"), "single") == 0 &&
        finished_run_number(self, "ranks") != 1)
        return ls_fail(error, LS_BAD_INPUT, "%s: mode single with %s ranks: expected 1",
                       self->folder, finished_run_text(self, "ranks"));
    return LS_OK;
}

static int check_folder(finished_run *self, ls_error *error) {
    struct stat status;
    if (stat(self->folder, &status) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected the folder of a run", self->folder);
    if (!S_ISDIR(status.st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected the folder of a run, found a file",
                       self->folder);
    self->device = status.st_dev;
    self->inode = status.st_ino;
    return LS_OK;
}

/* epochs.csv is there from the first epoch on, summary.csv comes last. */
static int refuse_unfinished(const finished_run *self, ls_error *error) {
    char epochs[4200];
    format_plain(epochs, sizeof epochs, "%s/" EPOCHS_FILE, self->folder);
    if (access(epochs, F_OK) != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: no " SUMMARY_FILE " there: the run did not finish, or is not finished "
                       "yet",
                       self->folder);
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: no " SUMMARY_FILE " there, but " EPOCHS_FILE ": the run is still being "
                   "written (wait for its end), or it ended before its time",
                   self->folder);
}

static int read_summary(finished_run *self, ls_error *error) {
    char path[4200];
    if (strlen(self->folder) > 4096)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", self->folder);
    format_plain(path, sizeof path, "%s/" SUMMARY_FILE, self->folder);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return refuse_unfinished(self, error);
    LS_TRY(csv_read(&self->summary, path, error));
    LS_TRY(check_version(self, error));
    LS_TRY(refuse_ablated(self, error));
    LS_TRY(check_columns(self, error));
    LS_TRY(find_start(self, error));
    return check_consistent(self, error);
}

/* None where the run is from before waiting was measured. */
static int read_ranks(finished_run *self, ls_error *error) {
    const char *waiting = finished_run_text(self, "waiting_seconds");
    ranks_expected expected = {.ranks = (int)finished_run_number(self, "ranks"),
                               .training_seconds = finished_run_number(self, "training_seconds"),
                               .waiting_seconds = finished_run_number(self, "waiting_seconds")};
    if (!waiting[0])
        return LS_OK;
    if (!(expected.waiting_seconds >= 0))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" SUMMARY_FILE ": waiting_seconds: expected a number, 0 or more, found "
                       "'%.80s'",
                       self->folder, waiting);
    return finished_ranks_read(&self->ranks, self->folder, &expected, error);
}

int finished_run_read(finished_run *out, const char *folder, ls_error *error) {
    *out = (finished_run){.folder = folder};
    int status = check_folder(out, error);
    if (status == LS_OK)
        status = read_summary(out, error);
    if (status == LS_OK)
        status = read_ranks(out, error);
    if (status != LS_OK)
        finished_run_free(out);
    return status;
}

void finished_run_free(finished_run *self) {
    csv_free(&self->summary);
    finished_ranks_free(self->ranks);
    self->ranks = NULL;
}

const char *finished_run_text(const finished_run *self, const char *column) {
    const char *text = csv_get(&self->summary, 0, column);
    return text ? text : "";
}

double finished_run_number(const finished_run *self, const char *column) {
    double value = NAN;
    return is_number(finished_run_text(self, column), &value) ? value : NAN;
}
