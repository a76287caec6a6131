#include "report/compare/target.h"

#include "report/read/finished_epochs.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One run's way to the target; seconds NAN where it was not reached. */
typedef struct arrival {
    double epochs, images, seconds, evaluation_seconds, best_accuracy, gpu_joules, cpu_joules;
    bool read;
} arrival;

static arrival find_arrival(const finished_epochs *epochs, double accuracy) {
    arrival out = {.read = true, .seconds = NAN, .best_accuracy = NAN};
    arrival sum = {0};
    for (size_t index = 0; index < epochs->count; index++) {
        const finished_epoch *epoch = &epochs->items[index];
        sum.epochs++;
        sum.images += epoch->images;
        sum.seconds += epoch->training_seconds;
        sum.gpu_joules += epoch->gpu_energy_joules;
        sum.cpu_joules += epoch->cpu_energy_joules;
        sum.evaluation_seconds += isnan(epoch->evaluation_seconds) ? 0 : epoch->evaluation_seconds;
        if (isnan(out.seconds) && epoch->test_accuracy >= accuracy) {
            double best = out.best_accuracy;
            out = sum;
            out.best_accuracy = best;
            out.read = true;
        }
        out.best_accuracy =
            fmax(out.best_accuracy, epoch->test_accuracy); /* fmax passes NAN over */
    }
    return out;
}

typedef struct maker {
    target_table *out;
    complaints *complaints;
    ls_error *error;
} maker;

static int read_arrivals(maker *self, const configuration *of, arrival *arrivals) {
    for (size_t index = 0; index < of->count; index++) {
        finished_epochs epochs;
        arrivals[index] = (arrival){.seconds = NAN, .best_accuracy = NAN};
        if (finished_epochs_read(&epochs, of->runs[index], self->error) != LS_OK) {
            LS_TRY(complaints_add(self->complaints, self->error));
            continue;
        }
        arrivals[index] = find_arrival(&epochs, self->out->accuracy);
        finished_epochs_free(&epochs);
    }
    return LS_OK;
}

/* The median of the double at `offset` over the runs that arrived, NAN where one of them has none;
 * `values` [count] is room. */
static double median_of(const arrival *arrivals, size_t count, size_t offset, double *values) {
    size_t found = 0;
    for (size_t index = 0; index < count; index++)
        if (!isnan(arrivals[index].seconds)) {
            memcpy(&values[found++], (const char *)&arrivals[index] + offset, sizeof *values);
            if (isnan(values[found - 1]))
                return NAN;
        }
    return median(values, found);
}

static void summarise(target_row *row, const arrival *arrivals, double *values) {
    size_t count = row->self->count;
    row->best_accuracy = NAN;
    for (size_t index = 0; index < count; index++) {
        row->reached += !isnan(arrivals[index].seconds);
        row->unread += !arrivals[index].read;
        row->best_accuracy = fmax(row->best_accuracy, arrivals[index].best_accuracy);
    }
    row->epochs = median_of(arrivals, count, offsetof(arrival, epochs), values);
    row->images = median_of(arrivals, count, offsetof(arrival, images), values);
    row->gpu_joules = median_of(arrivals, count, offsetof(arrival, gpu_joules), values);
    row->cpu_joules = median_of(arrivals, count, offsetof(arrival, cpu_joules), values);
    row->seconds = median_of(arrivals, count, offsetof(arrival, seconds), values);
    row->evaluation_seconds =
        median_of(arrivals, count, offsetof(arrival, evaluation_seconds), values);
}

/* theirs: the baseline's. */
static measured_speedup speedup_to(const target_row *baseline, const arrival *theirs,
                                   const target_row *row, const arrival *own) {
    size_t pairs =
        baseline->self->count < row->self->count ? baseline->self->count : row->self->count;
    measured_speedup out = {.pairs = 0, .ratio = {NAN, NAN, NAN}};
    if (baseline->reached < baseline->self->count || row->reached < row->self->count)
        return out;
    double *room = calloc(2 * pairs, sizeof *room);
    for (size_t pair = 0; room && pair < pairs; pair++) {
        room[pair] = theirs[pair].seconds;
        room[pairs + pair] = own[pair].seconds;
    }
    if (room) {
        out.pairs = pairs;
        out.ratio = interval_of_ratio(room, room + pairs, pairs);
    }
    free(room);
    return out;
}

/* The row of a configuration, made where there is none yet; arrivals are kept in `kept`. */
static int row_of(maker *self, const configuration *of, arrival **kept, size_t *out) {
    target_table *table = self->out;
    for (*out = 0; *out < table->count; ++*out)
        if (table->rows[*out].self == of)
            return LS_OK;
    arrival *arrivals = kept[*out] = calloc(of->count, sizeof *arrivals);
    double *values = calloc(of->count, sizeof *values);
    table->rows[table->count++] = (target_row){.self = of, .speedup = {.ratio = {NAN, NAN, NAN}}};
    int status = arrivals && values
                     ? read_arrivals(self, of, arrivals)
                     : ls_fail(self->error, LS_FAILED, "report: no memory for its tables");
    if (status == LS_OK)
        summarise(&table->rows[*out], arrivals, values);
    free(values);
    return status;
}

static int add_table(maker *self, const comparison *from, arrival **kept) {
    target_table *table = self->out;
    size_t baseline, index, before = table->count;
    LS_TRY(row_of(self, from->baseline, kept, &baseline));
    if (table->count > before)
        table->baselines[baseline] = baseline;
    for (size_t row = 0; row < from->count; row++) {
        before = table->count;
        LS_TRY(row_of(self, from->rows[row].self, kept, &index));
        if (table->count == before)
            continue;
        table->baselines[index] = baseline;
        table->rows[index].speedup =
            speedup_to(&table->rows[baseline], kept[baseline], &table->rows[index], kept[index]);
    }
    return LS_OK;
}

int target_make(target_table *out, const comparison_list *tables, double accuracy,
                complaints *complaints, ls_error *error) {
    size_t most = 0;
    for (size_t index = 0; index < tables->count; index++)
        most += 1 + tables->items[index].count;
    *out = (target_table){.accuracy = accuracy,
                          .rows = calloc(most + 1, sizeof *out->rows),
                          .baselines = calloc(most + 1, sizeof *out->baselines)};
    arrival **kept = calloc(most + 1, sizeof *kept);
    maker self = {out, complaints, error};
    int status = out->rows && out->baselines && kept
                     ? LS_OK
                     : ls_fail(error, LS_FAILED, "report: no memory for its tables");
    for (size_t index = 0; status == LS_OK && index < tables->count; index++)
        status = add_table(&self, &tables->items[index], kept);
    for (size_t row = 0; kept && row < out->count; row++)
        free(kept[row]);
    free(kept);
    if (status != LS_OK)
        target_free(out);
    return status;
}

void target_free(target_table *self) {
    free(self->rows);
    free(self->baselines);
    *self = (target_table){0};
}
