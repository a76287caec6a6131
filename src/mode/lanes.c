#include "mode/lanes.h"
#include "base/clock.h"
#include "comm/link/pump.h"
#include "mode/accumulate.h"
#include "mode/parts.h"

#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct lane {
    lanes *all;
    int number; /* of this rank's */
    network *network;
    pass *pass; /* of the batch at hand, which is `part` of what this rank loaded */
    share part;
    network_hooks hooks;
    op_draws draws;
    /* Units, from the last one on, whose gradient is written, and that backward is done with. Each
     * on a line of its own: they are what the threads look at of each other. */
    _Alignas(64) _Atomic int written, done;
} lane;

struct lanes {
    mode *mode;
    int workers;
    bool defers;  /* the mode's hooks are called after the workers' end, with all threads */
    bool in_step; /* workers go from layer to layer together: mode/lanes.h */
    const input_batch *batch;
    int (*work)(lanes *self, int worker, ls_error *error);
    ls_error *errors;     /* [workers] */
    _Atomic int finished; /* workers but the first */
    _Atomic int failed;   /* worker + 1; 0: none */
    _Atomic int waiting, meetings;
    int told_written, told_done;
    lane *each; /* [mode->lane_count] */
};

/* ---- hooks: of a lane, on its worker */

static int parameters(void *context, int unit, const float **out, ls_error *error) {
    mode *mode = ((lane *)context)->all->mode;
    return mode->hooks.parameters(mode, unit, out, error);
}

static int gradient(void *context, int unit, float **out, ls_error *error) {
    lane *self = context;
    mode *mode = self->all->mode;
    if (mode->accumulator)
        return accumulator_gradient(mode->accumulator, self->number, unit, out, error);
    LS_TRY(mode->hooks.gradient(mode, unit, out, error));
    *out += (size_t)self->number * mode->gradient_stride;
    return LS_OK;
}

/* In training a lane writes its own; an evaluation reads what is held. */
static int buffers(void *context, float **out, ls_error *error) {
    lane *self = context;
    mode *mode = self->all->mode;
    LS_TRY(mode->hooks.buffers(mode, out, error));
    if (self->all->batch->training)
        *out += (size_t)self->number * store_row_stride(mode->store, STORE_BUFFERS);
    return LS_OK;
}

static int units_of(const lanes *self) {
    return self->mode->settings.graph->unit_count;
}

static bool is_first_worker(const lane *self) {
    return self->number % self->all->workers == 0;
}

/* What all lanes have come to since it was last looked at, to the mode. On the caller's thread. */
static int tell(lanes *self, ls_error *error) {
    mode *mode = self->mode;
    int written = units_of(self), done = written;
    for (int index = 0; index < mode->lane_count; index++) {
        lane *each = &self->each[index];
        int here = atomic_load_explicit(&each->written, memory_order_acquire);
        int there = atomic_load_explicit(&each->done, memory_order_acquire);
        written = here < written ? here : written;
        done = there < done ? there : done;
    }
    for (; self->told_written < written; self->told_written++)
        if (mode->hooks.gradient_ready)
            LS_TRY(
                mode->hooks.gradient_ready(mode, units_of(self) - 1 - self->told_written, error));
    for (; self->told_done < done; self->told_done++)
        if (mode->hooks.backward_done)
            LS_TRY(mode->hooks.backward_done(mode, units_of(self) - 1 - self->told_done, error));
    return LS_OK;
}

static int tell_now(const lane *self, ls_error *error) {
    bool now = is_first_worker(self) && !self->all->defers && !self->all->in_step;
    return now ? tell(self->all, error) : LS_OK;
}

/* The gradients that are at hand are the step's. */
static bool at_last(const lane *self) {
    const accumulator *sum = self->all->mode->accumulator;
    return !sum || accumulator_at_last(sum);
}

static int gradient_ready(void *context, int unit, ls_error *error) {
    lane *self = context;
    const accumulator *sum = self->all->mode->accumulator;
    if (sum)
        LS_TRY(accumulator_add(sum, self->number, unit, error));
    if (!at_last(self))
        return LS_OK;
    atomic_store_explicit(&self->written, units_of(self->all) - unit, memory_order_release);
    return tell_now(self, error);
}

static int backward_done(void *context, int unit, ls_error *error) {
    lane *self = context;
    if (!at_last(self))
        return LS_OK;
    atomic_store_explicit(&self->done, units_of(self->all) - unit, memory_order_release);
    return tell_now(self, error);
}

static int get_on(lanes *self, ls_error *error) {
    mode *mode = self->mode;
    return mode->hooks.between ? mode->hooks.between(mode, error) : LS_OK;
}

static int between(void *context, ls_error *error) {
    lane *self = context;
    return is_first_worker(self) ? get_on(self->all, error) : LS_OK;
}

/* ---- workers */

static void run_worker(void *context, int worker) {
    lanes *self = context;
    int none = 0;
    if (self->work(self, worker, &self->errors[worker]) != LS_OK)
        atomic_compare_exchange_strong(&self->failed, &none, worker + 1);
    if (worker > 0)
        atomic_fetch_add_explicit(&self->finished, 1, memory_order_release);
}

static int run(lanes *self, int (*work)(lanes *self, int worker, ls_error *error),
               ls_error *error) {
    device *device = self->mode->settings.device;
    self->work = work;
    atomic_store(&self->finished, 0);
    atomic_store(&self->failed, 0);
    atomic_store(&self->waiting, 0);
    if (device->is->side_by_side)
        device->is->side_by_side(device, self->workers, run_worker, self);
    else
        run_worker(self, 0);
    int failed = atomic_load(&self->failed);
    if (failed > 0)
        *error = self->errors[failed - 1];
    return failed > 0 ? error->code : LS_OK;
}

/* All workers have come here. */
static int meet(lanes *self, ls_error *error) {
    int number = atomic_load(&self->meetings);
    if (atomic_fetch_add(&self->waiting, 1) == self->workers - 1) {
        atomic_store(&self->waiting, 0);
        atomic_fetch_add(&self->meetings, 1);
        return LS_OK;
    }
    while (atomic_load(&self->meetings) == number) {
        if (atomic_load(&self->failed))
            return ls_fail(error, LS_FAILED, "strict: another lane failed");
        sched_yield();
    }
    return LS_OK;
}

/* ---- layers that are entered together */

/* The unit whose gradient this layer is the first to write a part of: its own, or the bias of one
 * before it (network_hooks.gradient). */
static int next_unit(const graph *graph, int layer) {
    int unit = graph->unit_count - 1;
    while (unit >= 0 && graph->units[unit].layer > layer)
        unit--;
    return unit;
}

/* What the lanes' hooks will ask for is there: in backward also of a layer without a unit, before
 * which others may be computed again; and the unit before, whose layer may be one of these. */
static int enter(lanes *self, int layer, bool backward, ls_error *error) {
    mode *mode = self->mode;
    const network_hooks *hooks = &mode->hooks;
    const graph *graph = mode->settings.graph;
    int unit = backward ? next_unit(graph, layer) : graph->layers[layer].unit;
    const float *parameters;
    float *gradient;
    if (unit < 0)
        return LS_OK;
    if (hooks->comes_to)
        LS_TRY(hooks->comes_to(mode, unit, backward, error));
    LS_TRY(hooks->parameters(mode, unit, &parameters, error));
    if (backward && unit > 0 && self->workers > 1 && hooks->comes_to)
        LS_TRY(hooks->parameters(mode, unit - 1, &parameters, error));
    return backward ? hooks->gradient(mode, unit, &gradient, error) : LS_OK;
}

static int leave(lanes *self, int layer, bool backward, ls_error *error) {
    mode *mode = self->mode;
    int unit = mode->settings.graph->layers[layer].unit;
    if (backward)
        LS_TRY(tell(self, error));
    return unit >= 0 && mode->hooks.released ? mode->hooks.released(mode, unit, error) : LS_OK;
}

static int enter_together(lanes *self, int worker, int layer, bool backward, ls_error *error) {
    if (!self->in_step)
        return LS_OK;
    if (worker == 0)
        LS_TRY(enter(self, layer, backward, error));
    return meet(self, error);
}

static int leave_together(lanes *self, int worker, int layer, bool backward, ls_error *error) {
    if (!self->in_step)
        return LS_OK;
    LS_TRY(meet(self, error));
    return worker == 0 ? leave(self, layer, backward, error) : LS_OK;
}

#define FOR_OWN_LANES(self, worker, at)                                                            \
    for (lane *at = &(self)->each[worker]; at < (self)->each + (self)->mode->lane_count;           \
         at += (self)->workers)

/* ---- a step */

/* The micro-batch at hand of [l B/L, (l+1) B/L), counted from where this rank's share of the batch
 * begins. */
static share part_of(const lane *self, int64_t global_count) {
    const mode *mode = self->all->mode;
    const mode_settings *s = &mode->settings;
    int number = s->rank * mode->lane_count + self->number;
    share mine = share_of(global_count, s->rank, s->size);
    share all = share_of(global_count, number, s->lanes);
    share part = share_of(all.count, mode->at_hand.number, s->micro_batches);
    return (share){all.first + part.first - mine.first, part.count};
}

static int make(lane *self, device_stream *stream, const input_batch *batch, ls_error *error) {
    share part = part_of(self, batch->global_count);
    if (part.count == 0)
        return LS_OK;
    return mode_make_part(self->all->mode, stream, batch, part,
                          network_input(self->network, batch->place), error);
}

int lanes_make(lanes *self, device_stream *stream, const input_batch *batch, ls_error *error) {
    for (int index = 0; index < self->mode->lane_count; index++)
        LS_TRY(make(&self->each[index], stream, batch, error));
    return LS_OK;
}

static int make_work(lanes *self, int worker, ls_error *error) {
    FOR_OWN_LANES(self, worker, at)
    LS_TRY(make(at, self->mode->settings.stream, self->batch, error));
    return LS_OK;
}

static int begin_lane(lane *self, const input_batch *batch, ls_error *error) {
    atomic_store(&self->written, 0);
    atomic_store(&self->done, 0);
    const mode_settings *s = &self->all->mode->settings;
    self->part = part_of(self, batch->global_count);
    self->draws =
        (op_draws){s->seed, batch->state,
                   share_of(batch->global_count, s->rank, s->size).first + self->part.first};
    self->pass = network_pass(self->network, (int)self->part.count);
    if (!self->pass)
        return ls_fail(error, LS_FAILED, "strict: no plan for a lane of %lld samples",
                       (long long)self->part.count);
    network_take_input(self->network, self->pass, batch->place);
    return LS_OK;
}

int lanes_begin(lanes *self, const input_batch *batch, ls_error *error) {
    self->batch = batch;
    self->told_written = self->told_done = 0;
    for (int index = 0; index < self->mode->lane_count; index++)
        LS_TRY(begin_lane(&self->each[index], batch, error));
    return batch->made ? LS_OK : run(self, make_work, error);
}

static int forward_work(lanes *self, int worker, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    for (int layer = 0; layer < s->graph->layer_count; layer++) {
        LS_TRY(enter_together(self, worker, layer, false, error));
        FOR_OWN_LANES(self, worker, at)
        LS_TRY(network_forward_layer(at->network, at->pass, layer, self->batch->training, s->stream,
                                     &at->hooks, error));
        LS_TRY(leave_together(self, worker, layer, false, error));
    }
    return LS_OK;
}

int lanes_forward(lanes *self, ls_error *error) {
    return run(self, forward_work, error);
}

static int loss_work(lanes *self, int worker, ls_error *error) {
    FOR_OWN_LANES(self, worker, at)
    if (at->part.count > 0)
        LS_TRY(mode_loss_of_part(self->mode, self->batch, at->part, at->pass,
                                 &self->mode->totals[at->number], error));
    return LS_OK;
}

int lanes_loss(lanes *self, const input_batch *batch, ls_error *error) {
    self->batch = batch;
    return run(self, loss_work, error);
}

/* While others compute, the caller's thread moves on what is on its way: as often as a pump does,
 * for each time is a mark in the step's clock and in a profile. */
static int attend(lanes *self, ls_error *error) {
    double next = 0;
    while (atomic_load_explicit(&self->finished, memory_order_acquire) < self->workers - 1) {
        sched_yield();
        if (clock_seconds() < next)
            continue;
        if (!self->defers)
            LS_TRY(tell(self, error));
        LS_TRY(get_on(self, error));
        next = clock_seconds() + PUMP_PERIOD_SECONDS;
    }
    return LS_OK;
}

static int backward_work(lanes *self, int worker, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    for (int layer = s->graph->layer_count - 1; layer >= 0; layer--) {
        LS_TRY(enter_together(self, worker, layer, true, error));
        FOR_OWN_LANES(self, worker, at)
        LS_TRY(network_backward_layer(at->network, at->pass, layer, s->stream, &at->hooks, error));
        LS_TRY(leave_together(self, worker, layer, true, error));
    }
    return worker == 0 ? attend(self, error) : LS_OK;
}

int lanes_backward(lanes *self, ls_error *error) {
    LS_TRY(run(self, backward_work, error));
    return tell(self, error);
}

/* ---- open and close */

static void open_lane(lanes *self, int index) {
    lane *each = &self->each[index];
    each->all = self;
    each->number = index;
    each->network = network_lane(self->mode->settings.network, index);
    each->hooks = (network_hooks){.context = each,
                                  .parameters = parameters,
                                  .gradient = gradient,
                                  .buffers = buffers,
                                  .gradient_ready = gradient_ready,
                                  .backward_done = backward_done,
                                  .between = between,
                                  .draws = &each->draws,
                                  .quiet = !is_first_worker(each)};
}

int lanes_create(mode *mode, lanes **out, ls_error *error) {
    int count = mode->lane_count, threads = mode->settings.device->facts.threads;
    lanes *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *out = self;
    self->mode = mode;
    self->workers = threads < 1 ? 1 : threads < count ? threads : count;
    self->in_step = mode->is->has_slots;
    self->defers = self->workers > 1 && mode->settings.size == 1 && !self->in_step;
    self->errors = calloc((size_t)self->workers, sizeof *self->errors);
    self->each = aligned_alloc(_Alignof(lane), (size_t)count * sizeof *self->each);
    if (!self->errors || !self->each)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int index = 0; index < count; index++) {
        memset(&self->each[index], 0, sizeof self->each[index]);
        open_lane(self, index);
    }
    return LS_OK;
}

void lanes_destroy(lanes *self) {
    if (!self)
        return;
    free(self->errors);
    free(self->each);
    free(self);
}
