#include "mode/factors.h"
#include "base/clock.h"
#include "mode/parts.h"

#include <stdlib.h>

/* Rows of all ranks: [global batch, length]. */
typedef struct gathered_rows {
    void *memory;
    int64_t length;
    int64_t *counts; /* [ranks], elements, of the step at hand */
    comm_work work;
} gathered_rows;

typedef struct factor_unit {
    int unit;
    gathered_rows x, dy;
} factor_unit;

struct factors {
    mode *mode;
    int64_t global_count; /* of the step at hand */
    int count;
    factor_unit units[]; /* in backward's order */
};

static int create_rows(const factors *self, int64_t length, gathered_rows *out, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    size_t bytes = (size_t)(s->global_batch * length) * dtype_bytes(network_type(s->network));
    out->length = length;
    out->counts = calloc((size_t)s->size, sizeof *out->counts);
    if (!out->counts)
        return ls_fail(error, LS_FAILED, "out of memory");
    return store_take(self->mode->store, MEMORY_COMMUNICATION, true, bytes, "gathered factors",
                      &out->memory, error);
}

static int create_unit(factors *self, int unit, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    factor_unit *made = &self->units[self->count++];
    int64_t in, out, batches[] = {s->training_batch, s->last_training_batch};
    made->unit = unit;
    if (!graph_unit_factors(s->graph, unit, &in, &out))
        return ls_fail(error, LS_FAILED, "ddp: unit %d has no factors", unit);
    LS_TRY(create_rows(self, in, &made->x, error));
    LS_TRY(create_rows(self, out, &made->dy, error));
    for (int index = 0; index < 2; index++)
        LS_TRY(network_prepare_gathered(s->network, unit, (int)batches[index], error));
    return LS_OK;
}

int factors_create(mode *mode, const bool *wanted, factors **out, ls_error *error) {
    const graph *graph = mode->settings.graph;
    factors *self = calloc(1, sizeof *self + (size_t)graph->unit_count * sizeof self->units[0]);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->mode = mode;
    int status = LS_OK;
    for (int unit = graph->unit_count - 1; unit >= 0 && status == LS_OK; unit--)
        if (wanted[unit])
            status = create_unit(self, unit, error);
    if (status != LS_OK) {
        factors_destroy(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

static void release_rows(const factors *self, gathered_rows *rows) {
    store_give_back(self->mode->store, rows->memory);
    free(rows->counts);
}

void factors_destroy(factors *self) {
    if (!self)
        return;
    for (int index = 0; index < self->count; index++) {
        release_rows(self, &self->units[index].x);
        release_rows(self, &self->units[index].dy);
    }
    free(self);
}

void factors_begin(factors *self, int64_t global_count) {
    self->global_count = global_count;
}

static factor_unit *find(factors *self, int unit) {
    for (int index = 0; index < self->count; index++)
        if (self->units[index].unit == unit)
            return &self->units[index];
    return NULL;
}

/* This rank's rows into their place among the others', then all to all. */
static int gather(factors *self, outstanding *works, gathered_rows *rows, const void *mine,
                  ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    dtype type = network_type(s->network);
    size_t row_bytes = (size_t)rows->length * dtype_bytes(type);
    share own = share_of(self->global_count, s->rank, s->size);
    for (int rank = 0; rank < s->size; rank++)
        rows->counts[rank] = share_of(self->global_count, rank, s->size).count * rows->length;
    if (own.count > 0)
        LS_TRY(s->device->is->copy(s->device, s->stream,
                                   (char *)rows->memory + (size_t)own.first * row_bytes, mine,
                                   (size_t)own.count * row_bytes, COPY_ON_DEVICE, error));
    rows->work.tells = s->settled && s->device->facts.updates_advance;
    LS_TRY(step_clock_waiting(self->mode->clock, error));
    LS_TRY(outstanding_allgather(works, s->stream, rows->memory, rows->counts, type, s->stream,
                                 &rows->work, error));
    return step_clock_resumed(self->mode->clock, error);
}

int factors_input(factors *self, outstanding *works, int unit, const void *x, ls_error *error) {
    return gather(self, works, &find(self, unit)->x, x, error);
}

int factors_delta(factors *self, outstanding *works, int unit, const void *dy, ls_error *error) {
    return gather(self, works, &find(self, unit)->dy, dy, error);
}

static int form_gradient(factors *self, const factor_unit *at, int64_t rows, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    device_range_begin(s->device, graph_unit_layer(s->graph, at->unit)->name);
    device_range_begin(s->device, "backward_weights");
    int status = network_gathered_gradient(s->network, at->unit, (int)rows, s->stream, at->x.memory,
                                           at->dy.memory,
                                           mode_unit(self->mode, STORE_GRADIENTS, at->unit), error);
    device_range_end(s->device);
    device_range_end(s->device);
    return status;
}

/* The unit's update tells a watcher that both gathers are over. */
static int settle(factors *self, const factor_unit *at, ls_error *error) {
    const graph_unit *block = &self->mode->settings.graph->units[at->unit];
    store_slice slice = store_slice_of(self->mode->store, block->first, block->count);
    slice.begins = at->dy.work.over;
    return mode_settle_slice(self->mode, &slice, error);
}

int factors_finish(factors *self, outstanding *works, ls_error *error) {
    device_stream *stream = self->mode->settings.stream;
    for (int index = 0; index < self->count; index++) {
        factor_unit *at = &self->units[index];
        LS_TRY(step_clock_waiting(self->mode->clock, error));
        LS_TRY(outstanding_wait(works, &at->x.work, stream, error));
        LS_TRY(outstanding_wait(works, &at->dy.work, stream, error));
        LS_TRY(step_clock_resumed(self->mode->clock, error));
        LS_TRY(form_gradient(self, at, self->global_count, error));
        LS_TRY(settle(self, at, error));
    }
    return LS_OK;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static int time_product(factors *self, const factor_unit *at, int64_t rows, double *seconds,
                        ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    LS_TRY(s->device->is->stream_synchronize(s->device, s->stream, error));
    double began = clock_seconds();
    LS_TRY(form_gradient(self, at, rows, error));
    LS_TRY(s->device->is->stream_synchronize(s->device, s->stream, error));
    *seconds = clock_seconds() - began;
    return LS_OK;
}

enum { WARM = 1, MOST_RUNS = 5, FEWEST_RUNS = 2 };

/* At most, from the rows of one rank: a product over more rows takes no longer a row. */
static int estimate_product(factors *self, const factor_unit *at, double *out, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    int64_t all = s->training_batch, rows = all / s->size > 0 ? all / s->size : 1;
    LS_TRY(network_prepare_gathered(s->network, at->unit, (int)rows, error));
    for (int run = 0; run < WARM + 1; run++)
        LS_TRY(time_product(self, at, rows, out, error));
    *out *= (double)all / (double)rows;
    return LS_OK;
}

int factors_product_seconds(factors *self, int unit, double limit_seconds, double *out,
                            double *spread, ls_error *error) {
    const factor_unit *at = find(self, unit);
    double seconds[WARM + MOST_RUNS], began = clock_seconds();
    int runs = 0;
    LS_TRY(estimate_product(self, at, out, error));
    *spread = 0;
    if (clock_seconds() - began + (WARM + FEWEST_RUNS) * *out > limit_seconds)
        return LS_OK;
    for (int run = 0; run < WARM + MOST_RUNS; run++) {
        if (runs >= FEWEST_RUNS && clock_seconds() - began > limit_seconds)
            break;
        LS_TRY(time_product(self, at, self->mode->settings.training_batch, &seconds[run], error));
        runs = run + 1 - WARM;
    }
    qsort(seconds + WARM, (size_t)runs, sizeof *seconds, by_value);
    *out = seconds[WARM + runs / 2];
    *spread = (seconds[WARM + runs - 1 - runs / 4] - seconds[WARM + runs / 4]) / 2;
    return LS_OK;
}
