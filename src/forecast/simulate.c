#include "forecast/simulation.h"

#include "mode/exchange.h"

#include <stdlib.h>
#include <string.h>

const char *const comm_choice_names[CHOICES] = {
    [CHOICE_PLAIN] = "plain",
    [CHOICE_BUCKETS] = "buckets",
    [CHOICE_BUCKETS_BF16] = "buckets-bf16",
    [CHOICE_FACTORS] = "factors",
    [CHOICE_ZERO] = "zero",
    [CHOICE_FSDP] = "fsdp",
};

/* ---- gradients */

static link_kind gradient_kind(const simulation *self) {
    return self->in->choice == CHOICE_BUCKETS_BF16 ? LINK_SUM_BF16 : LINK_SUM_F32;
}

static void start(simulation *self, link_kind kind, double bytes, int64_t elements) {
    simulation_start(self, kind, 1, bytes, elements);
}

static bool is_sharded(const step_case *in) {
    return in->ranks > 1 && (in->choice == CHOICE_ZERO || in->choice == CHOICE_FSDP);
}

/* Rounding to bf16, or widening again: half of both. */
static void cast(simulation *self, int64_t elements) {
    const forecast_network *network = self->in->network;
    if (self->in->choice == CHOICE_BUCKETS_BF16)
        simulation_compute(self, 4 * (double)elements * network->between.cast_seconds_per_byte / 2);
}

static void send_gradient(simulation *self, int64_t from) {
    link_kind kind = gradient_kind(self);
    int64_t elements = self->cut - from;
    cast(self, elements);
    simulation_start(self, kind, is_sharded(self->in) ? 0.5 : 1,
                     (double)elements * (double)dtype_bytes(link_kind_type(kind)), elements);
    self->cut = from;
}

static factored *find_factored(simulation *self, const step_row *row) {
    for (int index = 0; index < self->factored_count; index++)
        if (self->factored[index].row == row)
            return &self->factored[index];
    return NULL;
}

/* fsdp: of all groups that lie in it. */
static void group_final(simulation *self, int64_t first) {
    for (int group = self->group_count - 1; group >= 0; group--)
        if (self->groups[group].first >= first && self->groups[group].first < self->cut)
            send_gradient(self, self->groups[group].first);
}

/* [first, cut) is final: what fills a bucket starts, and at the array's beginning what is left. */
static void gradient_final(simulation *self, int64_t first) {
    bool plain = self->in->choice == CHOICE_PLAIN;
    if (self->in->choice == CHOICE_FSDP)
        return group_final(self, first);
    int64_t most = plain ? self->in->step->parameters : self->in->buckets.most;
    while (self->cut - first >= most)
        send_gradient(self, self->cut - most);
    bool worth_it = !plain && self->cut - first >= self->in->buckets.worth;
    if (self->cut > first && (first == 0 || worth_it))
        send_gradient(self, first);
}

/* ---- factors */

static void weigh(const simulation *self, const step_row *row, factored *out) {
    const step_case *in = self->in;
    double element = (double)dtype_bytes(in->step->type);
    *out = (factored){.row = row,
                      .product_seconds = step_row_seconds(in->step, row, in->global_batch),
                      .x_bytes = element * (double)(in->global_batch * row->in_features),
                      .dy_bytes = element * (double)(in->global_batch * row->out_features)};
}

/* As `train --factor-comm auto` weighs, but for how its measurements vary. */
static bool is_cheaper(const simulation *self, const factored *with) {
    const step_case *in = self->in;
    double reduce =
        network_cost(in->network, LINK_SUM_F32, in->ranks, 4 * (double)with->row->gradient_count)
            .seconds;
    double latency = network_cost(in->network, LINK_SUM_F32, in->ranks, 4).seconds;
    double factors = network_cost(in->network, LINK_GATHER, in->ranks, with->x_bytes).seconds +
                     network_cost(in->network, LINK_GATHER, in->ranks, with->dy_bytes).seconds +
                     with->product_seconds * (in->ranks - 1) / in->ranks;
    return exchange_factors_win(factors, reduce, 0, latency);
}

static void choose_factors(simulation *self) {
    const step_model *step = self->in->step;
    if (self->in->choice != CHOICE_FACTORS || self->in->ranks == 1)
        return;
    for (size_t index = 0; index < step->row_count; index++) {
        factored layer;
        if (step->rows[index].in_features == 0)
            continue;
        weigh(self, &step->rows[index], &layer);
        if (is_cheaper(self, &layer))
            self->factored[self->factored_count++] = layer;
    }
}

/* A factored layer's input is on its way as soon as its forward begins. */
static void start_input(simulation *self, const step_row *row) {
    for (int index = 0; index < self->factored_count; index++)
        if (row->phase == LAYER_FORWARD &&
            strcmp(self->factored[index].row->layer, row->layer) == 0)
            start(self, LINK_GATHER, self->factored[index].x_bytes, 0);
}

/* ---- the step */

static void run_row(simulation *self, const step_row *row) {
    const step_case *in = self->in;
    factored *layer = find_factored(self, row);
    start_input(self, row);
    if (layer) { /* its product is made at the end, from all ranks' rows; buckets break here */
        if (self->cut > row->gradient_first + row->gradient_count)
            send_gradient(self, row->gradient_first + row->gradient_count);
        layer->last_collective = self->started;
        start(self, LINK_GATHER, layer->dy_bytes, 0);
        self->cut = row->gradient_first;
        return;
    }
    simulation_compute(self, step_row_seconds(in->step, row, in->batch));
    if (row->gradient_count > 0 && in->ranks > 1)
        gradient_final(self, row->gradient_first);
}

/* A loss scale wants to see all gradients before any update. */
static bool updates_in_pieces(const step_case *in) {
    return in->ranks > 1 && in->step->type != DTYPE_F16;
}

static double update_seconds(const step_case *in) {
    double sum = 0;
    for (size_t row = 0; row < in->step->row_count; row++)
        if (in->step->rows[row].phase == LAYER_OPTIMIZER)
            sum += step_row_seconds(in->step, &in->step->rows[row], in->batch);
    return sum;
}

/* What has arrived is updated while the rest is on its way. */
static void update(simulation *self, int64_t elements) {
    const step_case *in = self->in;
    if (updates_in_pieces(in))
        simulation_compute(self,
                           update_seconds(in) * (double)elements / (double)in->step->parameters);
}

/* The products come first: what is still on its way passes meanwhile. Then the buckets, in order.
 */
static void finish(simulation *self) {
    if (is_sharded(self->in))
        return sharded_finish(self, updates_in_pieces(self->in) ? update_seconds(self->in) : 0);
    for (int index = 0; index < self->factored_count; index++) {
        simulation_wait(self, self->factored[index].last_collective + 1);
        simulation_compute(self, self->factored[index].product_seconds);
        update(self, self->factored[index].row->gradient_count);
    }
    for (int index = 0; index < self->started; index++) {
        if (self->elements[index] == 0)
            continue;
        simulation_wait(self, index + 1);
        cast(self, self->elements[index]);
        update(self, self->elements[index]);
    }
    simulation_wait(self, self->started);
}

static bool is_after_backward(const step_row *row) {
    return row->phase == LAYER_OPTIMIZER || row->phase == LAYER_OTHER;
}

static void run_step(simulation *self) {
    const step_model *step = self->in->step;
    bool finished = false;
    self->cut = step->parameters;
    choose_factors(self);
    for (size_t index = 0; index < step->row_count; index++) {
        const step_row *row = &step->rows[index];
        if (row->phase == LAYER_COMMUNICATION)
            continue;
        if (is_after_backward(row) && !finished) {
            finish(self);
            finished = true;
        }
        if (self->group_count > 0)
            sharded_come_to(self, index);
        if (row->phase != LAYER_OPTIMIZER || !updates_in_pieces(self->in))
            run_row(self, row);
    }
    if (!finished)
        finish(self);
}

static double alone_seconds(const step_case *in) {
    double sum = 0;
    for (size_t row = 0; row < in->step->row_count; row++)
        if (in->step->rows[row].phase != LAYER_COMMUNICATION)
            sum += step_row_seconds(in->step, &in->step->rows[row], in->batch);
    return sum;
}

/* No more can start: full buckets, twice where they are gathered again, and three of each row (a
 * break, x and dy; or a group's two gathers and its gradient). */
static size_t most_collectives(const step_case *in) {
    return 2 * ((size_t)(in->step->parameters / in->buckets.most) + 1) + 4 * in->step->row_count;
}

int step_simulate(const step_case *self, step_forecast *out, ls_error *error) {
    simulation run = {.in = self};
    run.collectives = calloc(most_collectives(self), sizeof *run.collectives);
    run.elements = calloc(most_collectives(self), sizeof *run.elements);
    run.factored = calloc(self->step->row_count, sizeof *run.factored);
    bool complete = run.collectives && run.elements && run.factored;
    if (complete && self->choice == CHOICE_FSDP && self->ranks > 1)
        complete = sharded_groups(&run, error) == LS_OK;
    if (complete) {
        run_step(&run);
        *out = (step_forecast){.seconds = run.wall,
                               .computing_seconds = alone_seconds(self),
                               .collectives = run.started,
                               .factored_layers = run.factored_count};
    }
    free(run.collectives);
    free(run.elements);
    free(run.factored);
    sharded_groups_free(&run);
    return complete ? LS_OK : ls_fail(error, LS_FAILED, "no memory to forecast a step with");
}
