#include "report/read/finished_ranks.h"

#include "base/text_buffer.h"
#include "report/facts/files.h"
#include "report/facts/rank_columns.h"
#include "report/run/ranks_csv.h"
#include "report/text/csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct reader {
    const ranks_expected *expected;
    const char *path;
    csv_table file;
    int ranks, epochs;
    bool *seen; /* [epochs * ranks] */
    ls_error *error;
} reader;

static int read_index(const reader *self, size_t row, const char *column, int first, int last,
                      int *out) {
    const char *text = csv_get(&self->file, row, column);
    if (!text)
        return ls_fail(self->error, LS_BAD_INPUT, "%s: column '%s' is missing", self->path, column);
    double value = column_fits(NEEDS_WHOLE, text) ? parse_plain(text, NULL) : NAN;
    if (!(value >= first && value <= last))
        return ls_fail(self->error, LS_BAD_INPUT,
                       "%s: row %zu: %s: expected a whole number from %d to %d, found '%.80s'",
                       self->path, row + 1, column, first, last, text);
    *out = (int)value;
    return LS_OK;
}

static int read_times(const reader *self, size_t row, rank_facts *facts, rank_epoch *times) {
    ls_error found = {0};
    if (rank_take_row(&self->file, row, facts, times, &found) == LS_OK)
        return LS_OK;
    return ls_fail(self->error, found.code, "%s: row %zu: %s", self->path, row + 1, found.text);
}

static int read_row(const reader *self, size_t row, finished_ranks *out) {
    int epoch = 0, rank = 0;
    rank_epoch times;
    LS_TRY(read_index(self, row, "format_version", SUMMARY_FORMAT_VERSION, SUMMARY_FORMAT_VERSION,
                      &epoch));
    LS_TRY(read_index(self, row, "epoch", 1, self->epochs, &epoch));
    LS_TRY(read_index(self, row, "rank", 0, self->ranks - 1, &rank));
    bool *seen = &self->seen[(epoch - 1) * self->ranks + rank];
    if (*seen)
        return ls_fail(self->error, LS_BAD_INPUT, "%s: rank %d of epoch %d is there twice",
                       self->path, rank, epoch);
    *seen = true;
    LS_TRY(read_times(self, row, &out->facts[rank], &times));
    rank_epoch_add(&out->sums[rank], &times);
    return LS_OK;
}

/* Nine digits are written; the files are of one run or they are not. */
static int check_waiting(const reader *self, const finished_ranks *ranks) {
    double sum = 0, whole = self->expected->training_seconds;
    double expected = self->expected->waiting_seconds;
    for (int rank = 0; rank < ranks->count; rank++)
        sum += ranks->sums[rank].phases.waiting;
    if (fabs(sum / ranks->count - expected) <= 1e-6 * (whole + expected))
        return LS_OK;
    return ls_fail(self->error, LS_BAD_INPUT,
                   "%s: waiting_seconds: the mean over ranks is %.9g, but " SUMMARY_FILE
                   " has %.9g: one of them was changed",
                   self->path, sum / ranks->count, expected);
}

static int prepare(reader *self, finished_ranks **out) {
    size_t ranks = (size_t)self->ranks;
    if (self->file.rows == 0 || self->file.rows % ranks != 0)
        return ls_fail(self->error, LS_BAD_INPUT,
                       "%s: expected %d rows an epoch, one a rank, found %zu", self->path,
                       self->ranks, self->file.rows);
    self->epochs = (int)(self->file.rows / ranks);
    self->seen = calloc(self->file.rows, sizeof *self->seen);
    *out = calloc(1, sizeof **out);
    if (*out)
        **out = (finished_ranks){.count = self->ranks,
                                 .sums = calloc(ranks, sizeof *(*out)->sums),
                                 .facts = calloc(ranks, sizeof *(*out)->facts)};
    if (!self->seen || !*out || !(*out)->sums || !(*out)->facts)
        return ls_fail(self->error, LS_FAILED, "%s: no memory", self->path);
    return LS_OK;
}

static int read_all(reader *self, finished_ranks **out) {
    LS_TRY(csv_read(&self->file, self->path, self->error));
    LS_TRY(prepare(self, out));
    for (size_t row = 0; row < self->file.rows; row++)
        LS_TRY(read_row(self, row, *out));
    return check_waiting(self, *out);
}

int finished_ranks_read(finished_ranks **out, const char *folder, const ranks_expected *expected,
                        ls_error *error) {
    char path[4200];
    *out = NULL;
    format_plain(path, sizeof path, "%s/" RANKS_FILE, folder);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: it is missing, but " SUMMARY_FILE " says that waiting was measured: "
                       "the folder is not whole",
                       path);
    reader self = {.expected = expected, .path = path, .ranks = expected->ranks, .error = error};
    int status = read_all(&self, out);
    free(self.seen);
    csv_free(&self.file);
    if (status == LS_OK)
        return LS_OK;
    finished_ranks_free(*out);
    *out = NULL;
    return status;
}

void finished_ranks_free(finished_ranks *self) {
    if (!self)
        return;
    free(self->sums);
    free(self->facts);
    free(self);
}
