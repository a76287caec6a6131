#include "forecast/step.h"

#include "base/precision.h"
#include "base/text_buffer.h"
#include "report/facts/files.h"
#include "report/read/finished_run.h"
#include "report/text/csv.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- one run */

typedef struct run_file {
    const char *path; /* of layers.csv */
    csv_table table;
    finished_run summary;
    step_row rows[FORECAST_MOST_ROWS];
    size_t row_count;
} run_file;

static int refuse_cell(const run_file *self, size_t row, const char *column, const char *expected,
                       const char *found, ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT, "%s: row %zu: %s: expected %s, found '%.40s'", self->path,
                   row + 1, column, expected, found);
}

/* A number of at least 0. */
static int get_number(const run_file *self, size_t row, const char *column, double *out,
                      ls_error *error) {
    const char *text = csv_get(&self->table, row, column);
    char *end = NULL;
    *out = parse_plain(text, &end);
    if (end == text || *end != '\0' || !isfinite(*out) || *out < 0)
        return refuse_cell(self, row, column, "a number of at least 0", text, error);
    return LS_OK;
}

static int get_count(const run_file *self, size_t row, const char *column, int64_t *out,
                     ls_error *error) {
    double value;
    LS_TRY(get_number(self, row, column, &value, error));
    if (value != floor(value) || value > 9007199254740992.0)
        return refuse_cell(self, row, column, "a whole number", csv_get(&self->table, row, column),
                           error);
    *out = (int64_t)value;
    return LS_OK;
}

static int get_phase(const run_file *self, size_t row, layer_phase *out, ls_error *error) {
    const char *text = csv_get(&self->table, row, "phase");
    for (int phase = 0; phase < LAYER_PHASES; phase++)
        if (strcmp(layer_phase_name((layer_phase)phase), text) == 0) {
            *out = (layer_phase)phase;
            return LS_OK;
        }
    return refuse_cell(self, row, "phase", "a phase of a step", text, error);
}

/* Empty, both of them, where the layer's gradient has no factors. */
static int get_features(const run_file *self, size_t row, const char *column, int64_t *out,
                        ls_error *error) {
    *out = 0;
    if (csv_get(&self->table, row, column)[0] == '\0')
        return LS_OK;
    return get_count(self, row, column, out, error);
}

static int read_row(run_file *self, size_t index, ls_error *error) {
    step_row *row = &self->rows[index];
    int64_t order = 0;
    LS_TRY(get_count(self, index, "order", &order, error));
    if (order != (int64_t)index + 1)
        return refuse_cell(self, index, "order", "the rows in order, none left out",
                           csv_get(&self->table, index, "order"), error);
    const char *layer = csv_get(&self->table, index, "layer");
    if (strlen(layer) >= sizeof row->layer)
        return refuse_cell(self, index, "layer", "a name of at most 63 bytes", layer, error);
    memcpy(row->layer, layer, strlen(layer) + 1);
    LS_TRY(get_phase(self, index, &row->phase, error));
    LS_TRY(get_number(self, index, "seconds", &row->seconds[0], error));
    LS_TRY(get_count(self, index, "gradient_first", &row->gradient_first, error));
    LS_TRY(get_count(self, index, "gradient_count", &row->gradient_count, error));
    LS_TRY(get_features(self, index, "in_features", &row->in_features, error));
    LS_TRY(get_features(self, index, "out_features", &row->out_features, error));
    if ((row->in_features > 0) != (row->out_features > 0))
        return refuse_cell(self, index, "out_features", "a number beside in_features, or nothing",
                           csv_get(&self->table, index, "out_features"), error);
    return LS_OK;
}

/* Backward makes the flat gradient final from its end to its beginning, without a gap. */
static int check_gradient(const run_file *self, ls_error *error) {
    int64_t parameters = (int64_t)finished_run_number(&self->summary, "parameters");
    int64_t frontier = parameters;
    for (size_t index = 0; index < self->row_count; index++) {
        const step_row *row = &self->rows[index];
        if (row->gradient_count == 0)
            continue;
        if (row->gradient_first + row->gradient_count != frontier)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: row %zu: the gradient [%lld, %lld) does not end where the one "
                           "before it begins, at %lld",
                           self->path, index + 1, (long long)row->gradient_first,
                           (long long)(row->gradient_first + row->gradient_count),
                           (long long)frontier);
        frontier = row->gradient_first;
    }
    if (frontier != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: no row makes the gradient [0, %lld) final: rows are missing (%lld "
                       "parameters)",
                       self->path, (long long)frontier, (long long)parameters);
    return LS_OK;
}

static int read_rows(run_file *self, ls_error *error) {
    static const char *const columns[] = {"order",       "layer",          "phase",
                                          "seconds",     "gradient_first", "gradient_count",
                                          "in_features", "out_features"};
    for (size_t index = 0; index < sizeof columns / sizeof columns[0]; index++)
        if (!csv_get(&self->table, 0, columns[index]))
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: column '%s' is missing (an older lockstep wrote it? profile the "
                           "run again)",
                           self->path, columns[index]);
    if (self->table.rows > FORECAST_MOST_ROWS)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected at most %d rows, found %zu", self->path,
                       FORECAST_MOST_ROWS, self->table.rows);
    for (; self->row_count < self->table.rows; self->row_count++)
        LS_TRY(read_row(self, self->row_count, error));
    return check_gradient(self, error);
}

/* The rows say how a step divides, each by its median; how long a full batch took, in the mean of
 * the whole run, says the summary. (On a GPU most steps of a run replay a recording, but none of a
 * profile's: the run should be much longer than its profile.) */
static void scale_to_mean(run_file *self) {
    double sum = 0, images = finished_run_number(&self->summary, "images");
    double mean = finished_run_number(&self->summary, "training_seconds") / images *
                  finished_run_number(&self->summary, "global_batch");
    for (size_t index = 0; index < self->row_count; index++)
        sum += self->rows[index].seconds[0];
    for (size_t index = 0; index < self->row_count && sum > 0 && images > 0; index++)
        self->rows[index].seconds[0] *= mean / sum;
}

/* Their mean step would hold time in which nothing ran. */
static int refuse_suspended(const finished_run *run, ls_error *error) {
    double seconds = finished_run_number(run, "suspended_seconds");
    if (!(seconds > 0))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: it did not run for %.1f s of its training time, its job was suspended or "
                   "stopped: profile it again",
                   run->folder, seconds);
}

/* Its gradients are final in the last micro-batch alone, which its rows do not tell apart. */
static int refuse_accumulated(const finished_run *run, ls_error *error) {
    double parts = finished_run_number(run, "accumulate");
    if (!(parts > 1))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: its steps were computed in %.0f micro-batches (--accumulate): a forecast "
                   "starts from a step in one (profile it without)",
                   run->folder, parts);
}

static int read_run(run_file *self, const char *folder, ls_error *error) {
    LS_TRY(finished_run_read(&self->summary, folder, error));
    LS_TRY(refuse_suspended(&self->summary, error));
    LS_TRY(refuse_accumulated(&self->summary, error));
    if (strcmp(finished_run_text(&self->summary, "mode"), "single") != 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a run of mode single, found %s: a forecast starts from one "
                       "rank's step",
                       folder, finished_run_text(&self->summary, "mode"));
    if (access(self->path, F_OK) != 0 && errno == ENOENT)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: no " LAYERS_FILE " there (lockstep train --profile N writes one)",
                       folder);
    LS_TRY(csv_read(&self->table, self->path, error));
    if (self->table.rows == 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected the rows of a step, found none",
                       self->path);
    LS_TRY(read_rows(self, error));
    scale_to_mean(self);
    return LS_OK;
}

static void close_run(run_file *self) {
    csv_free(&self->table);
    finished_run_free(&self->summary);
}

/* ---- several */

static void copy_text(char *out, size_t capacity, const finished_run *run, const char *column) {
    format_plain(out, capacity, "%s", finished_run_text(run, column));
}

static void start_model(step_model *self, const run_file *run) {
    char precision[16];
    memcpy(self->rows, run->rows, run->row_count * sizeof run->rows[0]);
    self->row_count = run->row_count;
    self->parameters = (int64_t)finished_run_number(&run->summary, "parameters");
    copy_text(self->device, sizeof self->device, &run->summary, "device");
    copy_text(self->model, sizeof self->model, &run->summary, "model");
    copy_text(precision, sizeof precision, &run->summary, "precision");
    memcpy(self->precision, precision, sizeof precision);
    self->type = precision_type(precision_of(precision));
}

static bool same_row(const step_row *a, const step_row *b) {
    return strcmp(a->layer, b->layer) == 0 && a->phase == b->phase &&
           a->gradient_first == b->gradient_first && a->gradient_count == b->gradient_count;
}

static int check_alike(const step_model *self, const run_file *run, ls_error *error) {
    static const char *const columns[] = {"device", "model", "precision"};
    const char *const first[] = {self->device, self->model, self->precision};
    for (int index = 0; index < 3; index++)
        if (strcmp(finished_run_text(&run->summary, columns[index]), first[index]) != 0)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: %s is '%s', the first run's is '%s': only their batches may differ",
                           run->summary.folder, columns[index],
                           finished_run_text(&run->summary, columns[index]), first[index]);
    bool alike = run->row_count == self->row_count;
    for (size_t row = 0; row < self->row_count && alike; row++)
        alike = same_row(&self->rows[row], &run->rows[row]);
    if (!alike)
        return ls_fail(error, LS_BAD_INPUT, "%s: its rows are not those of the first run's step",
                       run->path);
    return LS_OK;
}

/* Keeps the batches ascending. */
static int place_of_batch(step_model *self, int64_t batch) {
    int at = 0;
    while (at < self->batch_count && self->batches[at] < batch)
        at++;
    if (at < self->batch_count && self->batches[at] == batch)
        return at;
    for (int from = self->batch_count++; from > at; from--) {
        self->batches[from] = self->batches[from - 1];
        self->runs[from] = self->runs[from - 1];
        for (size_t row = 0; row < self->row_count; row++)
            self->rows[row].seconds[from] = self->rows[row].seconds[from - 1];
    }
    self->batches[at] = batch;
    self->runs[at] = 0;
    return at;
}

static void add_run(step_model *self, const run_file *run, int64_t batch) {
    int at = place_of_batch(self, batch), count = ++self->runs[at];
    for (size_t row = 0; row < self->row_count; row++) {
        double *mean = &self->rows[row].seconds[at];
        *mean = count == 1 ? run->rows[row].seconds[0]
                           : *mean + (run->rows[row].seconds[0] - *mean) / count;
    }
}

static int take_run(step_model *self, run_file *run, const char *folder, ls_error *error) {
    LS_TRY(read_run(run, folder, error));
    int64_t batch = (int64_t)finished_run_number(&run->summary, "global_batch");
    if (self->batch_count == 0) {
        self->batch = batch;
        start_model(self, run);
    }
    LS_TRY(check_alike(self, run, error));
    add_run(self, run, batch);
    return LS_OK;
}

int step_model_read(step_model *out, char *const *folders, int count, ls_error *error) {
    char path[4200];
    *out = (step_model){0};
    if (count > FORECAST_MOST_RUNS)
        return ls_fail(error, LS_BAD_INPUT, "expected at most %d runs, found %d",
                       FORECAST_MOST_RUNS, count);
    run_file *run = calloc(1, sizeof *run);
    if (!run)
        return ls_fail(error, LS_FAILED, "no memory to read a run");
    int status = LS_OK;
    for (int index = 0; index < count && status == LS_OK; index++) {
        format_plain(path, sizeof path, "%.4096s/" LAYERS_FILE, folders[index]);
        *run = (run_file){.path = path};
        status = take_run(out, run, folders[index], error);
        close_run(run);
    }
    free(run);
    return status;
}

/* ---- at another batch */

double step_row_seconds(const step_model *self, const step_row *row, int64_t batch) {
    bool fixed = row->phase == LAYER_OPTIMIZER || row->phase == LAYER_OTHER;
    if (self->batch_count == 1)
        return fixed ? row->seconds[0] : row->seconds[0] * (double)batch / (double)self->batches[0];
    int high = 1;
    while (high < self->batch_count - 1 && self->batches[high] < batch)
        high++;
    double low_batch = (double)self->batches[high - 1], high_batch = (double)self->batches[high];
    double slope = (row->seconds[high] - row->seconds[high - 1]) / (high_batch - low_batch);
    return fmax(0, row->seconds[high - 1] + slope * ((double)batch - low_batch));
}
