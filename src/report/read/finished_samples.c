#include "report/read/finished_samples.h"

#include "base/text_buffer.h"
#include "report/facts/files.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SECONDS, RANK, USE, MEMORY, COLUMNS };

typedef struct reader {
    const char *path;
    const char *threads; /* of the ranks, "2;2": of cores alone */
    csv_table file;
    size_t columns[COLUMNS];
    double last_seconds;
    size_t *counts; /* [2][ranks][times]: values behind each mean */
    ls_error *error;
} reader;

static int find_columns(reader *self) {
    const char *names[COLUMNS] = {"seconds", "rank", "gpu_utilisation_percent", "gpu_memory_bytes"};
    if (self->threads) {
        names[USE] = "own_cpu_cores";
        names[MEMORY] = "own_memory_bytes";
    }
    for (int index = 0; index < COLUMNS; index++) {
        size_t at = 0;
        while (at < self->file.columns && strcmp(self->file.cells[at], names[index]) != 0)
            at++;
        if (at == self->file.columns)
            return ls_fail(self->error, LS_BAD_INPUT, "%s: column '%s' is missing", self->path,
                           names[index]);
        self->columns[index] = at;
    }
    return LS_OK;
}

/* NAN where it was not measured. */
static int value_of(const reader *self, size_t row, int column, double *out) {
    const char *text = self->file.cells[(row + 1) * self->file.columns + self->columns[column]];
    char *end = NULL;
    *out = NAN;
    if (!text[0])
        return LS_OK;
    *out = parse_plain(text, &end);
    if (end != text && *end == '\0' && isfinite(*out))
        return LS_OK;
    return ls_fail(self->error, LS_BAD_INPUT, "%s: row %zu: expected a number, found '%.80s'",
                   self->path, row + 1, text);
}

static int find_last(reader *self) {
    for (size_t row = 0; row < self->file.rows; row++) {
        double seconds;
        LS_TRY(value_of(self, row, SECONDS, &seconds));
        self->last_seconds = fmax(self->last_seconds, seconds);
    }
    return LS_OK;
}

/* Of that rank, by summary.csv; 1 where it does not say. */
static double threads_of(const reader *self, double rank) {
    const char *at = self->threads;
    for (; rank > 0 && (at = strchr(at, ';')); rank--)
        at++;
    double threads = at ? parse_plain(at, NULL) : 1;
    return threads >= 1 ? threads : 1;
}

static void count_in(double *values, size_t *counts, size_t at, double value) {
    if (isnan(value))
        return;
    double before = counts[at] ? values[at] : 0;
    values[at] = before + (value - before) / (double)++counts[at];
}

static int read_row(const reader *self, size_t row, finished_samples *out) {
    double values[COLUMNS];
    for (int column = 0; column < COLUMNS; column++)
        LS_TRY(value_of(self, row, column, &values[column]));
    if (!(values[RANK] >= 0 && values[RANK] < (double)out->ranks))
        return ls_fail(self->error, LS_BAD_INPUT,
                       "%s: row %zu: rank: expected one of %zu, found '%.80s'", self->path, row + 1,
                       out->ranks,
                       self->file.cells[(row + 1) * self->file.columns + self->columns[RANK]]);
    if (!(values[SECONDS] >= 0)) /* before training */
        return LS_OK;
    size_t at = (size_t)(values[SECONDS] / self->last_seconds * (double)out->times);
    at = (size_t)values[RANK] * out->times + (at < out->times ? at : out->times - 1);
    double whole = self->threads ? threads_of(self, values[RANK]) : 100;
    count_in(out->use, self->counts, at, values[USE] / whole);
    count_in(out->memory, self->counts + out->ranks * out->times, at, values[MEMORY]);
    return LS_OK;
}

/* Fewer moments than samples a rank, or lines would have gaps. */
static int prepare(reader *self, finished_samples *out, const finished_run *run, size_t times) {
    out->ranks = (size_t)finished_run_number(run, "ranks");
    size_t each = self->file.rows / out->ranks / 2;
    out->times = times < each ? times : each > 0 ? each : 1;
    size_t count = out->ranks * out->times;
    out->seconds = calloc(out->times, sizeof *out->seconds);
    out->use = calloc(count, sizeof *out->use);
    out->memory = calloc(count, sizeof *out->memory);
    self->counts = calloc(2 * count, sizeof *self->counts);
    if (!out->seconds || !out->use || !out->memory || !self->counts)
        return ls_fail(self->error, LS_FAILED, "%s: no memory", self->path);
    for (size_t index = 0; index < count; index++)
        out->use[index] = out->memory[index] = NAN;
    for (size_t index = 0; index < out->times; index++)
        out->seconds[index] = self->last_seconds * ((double)index + 0.5) / (double)out->times;
    return LS_OK;
}

static int read_all(reader *self, finished_samples *out, const finished_run *run, size_t times) {
    LS_TRY(csv_read(&self->file, self->path, self->error));
    LS_TRY(find_columns(self));
    LS_TRY(find_last(self));
    if (!(self->last_seconds > 0))
        return LS_OK;
    LS_TRY(prepare(self, out, run, times));
    for (size_t row = 0; row < self->file.rows; row++)
        LS_TRY(read_row(self, row, out));
    return LS_OK;
}

int finished_samples_read(finished_samples *out, const finished_run *run, size_t times,
                          ls_error *error) {
    char path[4200];
    *out = (finished_samples){0};
    format_plain(path, sizeof path, "%.4096s/" GPU_FILE, run->folder);
    if (access(path, F_OK) != 0) {
        out->cores = true;
        format_plain(path, sizeof path, "%.4096s/" CPU_FILE, run->folder);
    }
    if (access(path, F_OK) != 0 && errno == ENOENT)
        return LS_OK;
    reader self = {.path = path,
                   .threads = out->cores ? finished_run_text(run, "rank_threads") : NULL,
                   .error = error};
    int status = read_all(&self, out, run, times);
    csv_free(&self.file);
    free(self.counts);
    if (status != LS_OK)
        finished_samples_free(out);
    return status;
}

void finished_samples_free(finished_samples *self) {
    free(self->seconds);
    free(self->use);
    free(self->memory);
    *self = (finished_samples){0};
}
