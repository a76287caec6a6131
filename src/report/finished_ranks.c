/* ranks.csv read back, each value checked. */
#include "report/gpu_text.h"
#include "report/ranks_csv.h"
#include "report/summary.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct reader {
    const finished_run *run;
    const char *path;
    csv_table file;
    int ranks, epochs;
    bool *seen; /* [epochs * ranks] */
    ls_error *error;
} reader;

/* All but other_seconds are times, counts or numbers of something: none is below 0. */
static int read_number(const reader *self, size_t row, const char *column, bool may_be_empty,
                       double *out) {
    const char *text = csv_get(&self->file, row, column);
    char *end = NULL;
    *out = NAN;
    if (!text)
        return ls_fail(self->error, LS_BAD_INPUT, "%s: column '%s' is missing", self->path, column);
    if (may_be_empty && !text[0])
        return LS_OK;
    *out = parse_plain(text, &end);
    if (end == text || *end || !isfinite(*out) || *out < 0)
        return ls_fail(self->error, LS_BAD_INPUT,
                       "%s: row %zu: %s: expected a number, 0 or more, found '%.80s'", self->path,
                       row + 1, column, text);
    return LS_OK;
}

static int read_index(const reader *self, size_t row, const char *column, int first, int last,
                      int *out) {
    double value;
    LS_TRY(read_number(self, row, column, false, &value));
    if (value != floor(value) || value < first || value > last)
        return ls_fail(self->error, LS_BAD_INPUT,
                       "%s: row %zu: %s: expected a whole number from %d to %d, found '%.80s'",
                       self->path, row + 1, column, first, last, csv_get(&self->file, row, column));
    *out = (int)value;
    return LS_OK;
}

static int read_text(const reader *self, size_t row, const char *column, const char **out) {
    *out = csv_get(&self->file, row, column);
    if (*out)
        return LS_OK;
    return ls_fail(self->error, LS_BAD_INPUT, "%s: column '%s' is missing", self->path, column);
}

static int read_place(const reader *self, size_t row, int rank, rank_facts *out) {
    const char *host, *device, *uuid;
    LS_TRY(read_text(self, row, "host", &host));
    LS_TRY(read_text(self, row, "device", &device));
    LS_TRY(read_text(self, row, "gpu_uuid", &uuid));
    *out = (rank_facts){.rank = rank};
    format_plain(out->host, sizeof out->host, "%.63s", host);
    format_plain(out->device, sizeof out->device, "%.127s", device);
    format_plain(out->gpu_uuid, sizeof out->gpu_uuid, "%.47s", uuid);
    return LS_OK;
}

static int read_count(const reader *self, size_t row, const char *column, int64_t *out) {
    double value;
    LS_TRY(read_number(self, row, column, false, &value));
    *out = (int64_t)value;
    return LS_OK;
}

static int read_pace(const reader *self, size_t row, rank_pace *out) {
    LS_TRY(read_count(self, row, "compared_steps", &out->steps));
    LS_TRY(read_count(self, row, "longer_steps", &out->longer_steps));
    LS_TRY(read_count(self, row, "slow_steps", &out->slow_steps));
    LS_TRY(read_number(self, row, "compared_seconds", false, &out->own_seconds));
    return read_number(self, row, "others_compared_seconds", false, &out->others_seconds);
}

static int read_clocks(const reader *self, size_t row, gpu_clocks *out) {
    const char *reasons;
    LS_TRY(read_number(self, row, "sm_clock_mhz", true, &out->sm_clock_hertz));
    LS_TRY(read_text(self, row, "clocks_held_back_by", &reasons));
    out->sm_clock_hertz *= 1e6;
    out->throttle_known = reasons[0] != '\0';
    if (throttle_parse(reasons, &out->throttle_reasons))
        return LS_OK;
    return ls_fail(self->error, LS_BAD_INPUT,
                   "%s: row %zu: clocks_held_back_by: '%.80s' is no list of reasons", self->path,
                   row + 1, reasons);
}

static int read_times(const reader *self, size_t row, rank_epoch *out) {
    double transfer;
    *out = (rank_epoch){0};
    LS_TRY(read_number(self, row, "training_seconds", false, &out->seconds));
    LS_TRY(read_number(self, row, "waiting_seconds", false, &out->phases.waiting));
    LS_TRY(read_number(self, row, "transfer_seconds", false, &transfer));
    LS_TRY(read_number(self, row, "data_seconds", false, &out->phases.data));
    LS_TRY(read_number(self, row, "forward_seconds", false, &out->phases.forward));
    LS_TRY(read_number(self, row, "backward_seconds", false, &out->phases.backward));
    LS_TRY(read_number(self, row, "optimizer_seconds", false, &out->phases.optimizer));
    out->phases.communication = out->phases.waiting + transfer;
    LS_TRY(read_pace(self, row, &out->pace));
    return read_clocks(self, row, &out->clocks);
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
    LS_TRY(read_times(self, row, &times));
    LS_TRY(read_place(self, row, rank, &out->facts[rank]));
    rank_epoch_add(&out->sums[rank], &times);
    return LS_OK;
}

/* Nine digits are written; the files are of one run or they are not. */
static int check_waiting(const reader *self, const finished_ranks *ranks) {
    double sum = 0, whole = finished_run_number(self->run, "training_seconds");
    double expected = finished_run_number(self->run, "waiting_seconds");
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

int finished_ranks_read(finished_ranks **out, const finished_run *run, ls_error *error) {
    char path[4200];
    const char *waiting = finished_run_text(run, "waiting_seconds");
    *out = NULL;
    if (!waiting[0])
        return LS_OK;
    if (!(finished_run_number(run, "waiting_seconds") >= 0))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s/" SUMMARY_FILE ": waiting_seconds: expected a number, 0 or more, found "
                       "'%.80s'",
                       run->folder, waiting);
    format_plain(path, sizeof path, "%s/" RANKS_FILE, run->folder);
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: it is missing, but " SUMMARY_FILE " says that waiting was measured: "
                       "the folder is not whole",
                       path);
    reader self = {
        .run = run, .path = path, .ranks = (int)finished_run_number(run, "ranks"), .error = error};
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
