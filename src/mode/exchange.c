#include "mode/exchange.h"
#include "base/clock.h"
#include "comm/link/link.h"
#include "mode/factors.h"
#include "mode/pair.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Times of a call at the sizes that it will have, ascending. Between them a straight line: a real
 * link is no straight line over all sizes (buffers and token buckets take small ones at once). */
enum { CURVE_POINTS = 8, SMALLEST_BYTES = 4096 };

typedef struct curve {
    size_t bytes[CURVE_POINTS];
    double seconds[CURVE_POINTS], spread[CURVE_POINTS];
    int count;
} curve;

/* Further sizes than it holds are left to the line between those that it has. */
static void curve_add(curve *self, size_t bytes) {
    int at = 0;
    while (at < self->count && self->bytes[at] < bytes)
        at++;
    if (self->count == CURVE_POINTS || (at < self->count && self->bytes[at] == bytes))
        return;
    memmove(self->bytes + at + 1, self->bytes + at,
            (size_t)(self->count - at) * sizeof *self->bytes);
    self->bytes[at] = bytes;
    self->count++;
}

/* Below the smallest size its time, for that is latency. */
static double curve_at(const curve *self, size_t bytes) {
    int at = 1;
    if (bytes <= self->bytes[0])
        return self->seconds[0];
    while (at < self->count - 1 && self->bytes[at] < bytes)
        at++;
    double slope = (self->seconds[at] - self->seconds[at - 1]) /
                   (double)(self->bytes[at] - self->bytes[at - 1]);
    return self->seconds[at] + slope * ((double)bytes - (double)self->bytes[at]);
}

/* Of the size measured next to it. */
static double curve_spread(const curve *self, size_t bytes) {
    int at = 0;
    while (at < self->count - 1 && self->bytes[at] < bytes)
        at++;
    return self->spread[at];
}

static size_t unit_bytes(const mode_settings *s, int unit) {
    return s->graph->units[unit].count * dtype_bytes(s->gradient_type);
}

static size_t rows_bytes(const mode_settings *s, int64_t length) {
    return (size_t)(s->training_batch * length) * dtype_bytes(network_type(s->network));
}

/* A layer that could go as factors. */
static bool has_factors(const mode_settings *s, int unit, int64_t *in, int64_t *out) {
    return graph_unit_factors(s->graph, unit, in, out);
}

/* And may be worth it: by link.h's formulas two all-gathers take the latency of one all-reduce, and
 * the time of half their bytes. Where that is no less, no product need be made to know: the rows of
 * many ranks' batches are more than the gradient. */
static bool is_candidate(const mode_settings *s, int unit, int64_t *in, int64_t *out) {
    return has_factors(s, unit, in, out) &&
           rows_bytes(s, *in) + rows_bytes(s, *out) < 2 * unit_bytes(s, unit);
}

/* May become one; known before anything is measured. */
static bool may_factor(const mode_settings *s, int unit, int64_t *in, int64_t *out) {
    return s->factors == FACTORS_ON ? has_factors(s, unit, in, out)
                                    : s->factors == FACTORS_AUTO && is_candidate(s, unit, in, out);
}

size_t exchange_most_factor_bytes(const mode_settings *s) {
    size_t bytes = 0;
    int64_t in, out;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        if ((s->size > 1 || s->factors == FACTORS_ON) && may_factor(s, unit, &in, &out))
            bytes += rows_bytes(s, in) + rows_bytes(s, out);
    return bytes;
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* What is measured of the network. */
typedef struct network_times {
    curve reduce, gather;
} network_times;

/* The largest sizes first: they must not be left out. */
static void list_sizes(const mode_settings *s, network_times *out) {
    curve_add(&out->reduce, SMALLEST_BYTES);
    curve_add(&out->gather, SMALLEST_BYTES);
    size_t largest = 256 << 10;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        largest = larger(largest, unit_bytes(s, unit));
    curve_add(&out->reduce, largest);
    largest = 0;
    int64_t in, width;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        if (is_candidate(s, unit, &in, &width))
            largest = larger(largest, rows_bytes(s, in > width ? in : width));
    curve_add(&out->gather, larger(largest, 2 * SMALLEST_BYTES));
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        if (is_candidate(s, unit, &in, &width)) {
            curve_add(&out->reduce, unit_bytes(s, unit));
            curve_add(&out->gather, rows_bytes(s, in));
            curve_add(&out->gather, rows_bytes(s, width));
        }
}

/* Of the measuring time, which sums begin: they are what every step needs. Products are often the
 * longest calls. */
static const double GATHER_PART = 0.3, PRODUCT_PART = 0.3;

static int measure_calls(const mode_settings *s, const link_probe *probe, bool weighs,
                         link_budget *budget, network_times *out, ls_error *error) {
    double all = budget->limit_seconds;
    LS_TRY(link_measure_within(probe, LINK_ALLREDUCE, s->gradient_type, out->reduce.bytes,
                               out->reduce.count, budget, all * (GATHER_PART + PRODUCT_PART),
                               out->reduce.seconds, out->reduce.spread, error));
    if (!weighs)
        return LS_OK;
    return link_measure_within(probe, LINK_ALLGATHER, network_type(s->network), out->gather.bytes,
                               out->gather.count, budget, all * PRODUCT_PART, out->gather.seconds,
                               out->gather.spread, error);
}

static int measure_network(const mode_settings *s, bool weighs, link_budget *budget,
                           network_times *out, ls_error *error) {
    link_room room = {0};
    link_probe probe = {.comm = s->comm,
                        .control = s->control,
                        .device = s->device,
                        .stream = s->stream,
                        .room = &room};
    list_sizes(s, out);
    int status = measure_calls(s, &probe, weighs, budget, out, error);
    link_release_room(&probe);
    return status;
}

/* Of one hop, by link.h's formula: the latency is all of the smallest call's time, the bandwidth
 * the slope from there to the largest. */
static link_cost hop_of(const mode_settings *s, const curve *reduce) {
    int last = reduce->count - 1;
    double hops = 2.0 * (s->size - 1), ranks = s->size;
    double slope = (reduce->seconds[last] - reduce->seconds[0]) /
                   (double)(reduce->bytes[last] - reduce->bytes[0]);
    return (link_cost){.latency_seconds = reduce->seconds[0] / hops,
                       .bytes_per_second = slope > 0 ? hops / ranks / slope : INFINITY};
}

/* The slowest rank's seconds of every candidate's product. */
static int measure_products(mode *mode, const bool *candidates, double left_seconds,
                            double *seconds, double *spread, ls_error *error) {
    const mode_settings *s = &mode->settings;
    factors *trial = NULL;
    int count = 0;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        count += candidates[unit];
    double limit = left_seconds / (count > 0 ? count : 1);
    LS_TRY(factors_create(mode, candidates, &trial, error));
    int status = LS_OK;
    for (int unit = 0; unit < s->graph->unit_count && status == LS_OK; unit++)
        if (candidates[unit])
            status =
                factors_product_seconds(trial, unit, limit, &seconds[unit], &spread[unit], error);
    factors_destroy(trial);
    network_forget_gathered(s->network); /* what is chosen is prepared anew */
    LS_TRY(status);
    size_t units = (size_t)s->graph->unit_count;
    LS_TRY(comm_allreduce_double(s->control, seconds, units, REDUCTION_MAX, error));
    return comm_allreduce_double(s->control, spread, units, REDUCTION_MAX, error);
}

bool exchange_factors_win(double factor_seconds, double reduce_seconds, double spread_seconds,
                          double smallest_seconds) {
    double least = 0.1 * reduce_seconds + smallest_seconds;
    return reduce_seconds - factor_seconds > fmax(least, spread_seconds);
}

static void weigh(const mode_settings *s, int unit, const network_times *times,
                  double product_seconds, double product_spread, unit_exchange *out) {
    int64_t in = 0, width = 0;
    double left = (s->size - 1.0) / s->size;
    is_candidate(s, unit, &in, &width);
    out->reduce_seconds = curve_at(&times->reduce, unit_bytes(s, unit));
    out->factor_seconds = curve_at(&times->gather, rows_bytes(s, in)) +
                          curve_at(&times->gather, rows_bytes(s, width)) + product_seconds * left;
    out->spread_seconds = curve_spread(&times->reduce, unit_bytes(s, unit)) +
                          curve_spread(&times->gather, rows_bytes(s, in)) +
                          curve_spread(&times->gather, rows_bytes(s, width)) +
                          product_spread * left;
    out->factors = exchange_factors_win(out->factor_seconds, out->reduce_seconds,
                                        out->spread_seconds, times->reduce.seconds[0]);
}

/* Where no time is left for products the gradients go as they are. */
static int choose_factors(mode *mode, const bool *candidates, const link_budget *budget,
                          const network_times *times, ls_error *error) {
    enum { AGREEMENTS_A_CANDIDATE = 8 }; /* memory for two kinds of rows */
    const mode_settings *s = &mode->settings;
    double products[s->graph->unit_count + 1], spread[s->graph->unit_count + 1];
    memset(products, 0, sizeof products), memset(spread, 0, sizeof spread);
    int count = 0;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        count += candidates[unit];
    bool allowed = link_budget_allows(budget, AGREEMENTS_A_CANDIDATE * count);
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        mode->exchange.units[unit].unmeasured = candidates[unit] && !allowed;
    if (!allowed)
        return LS_OK;
    LS_TRY(measure_products(mode, candidates, budget->left_seconds, products, spread, error));
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        if (candidates[unit])
            weigh(s, unit, times, products[unit], spread[unit], &mode->exchange.units[unit]);
    return LS_OK;
}

/* Nothing to do where there is nothing to choose: one rank, or all was given. */
static int choose_by_measuring(mode *mode, const bool *candidates, ls_error *error) {
    const mode_settings *s = &mode->settings;
    mode_exchange *exchange = &mode->exchange;
    bool weighs = s->factors == FACTORS_AUTO &&
                  memchr(candidates, true, (size_t)s->graph->unit_count) != NULL;
    network_times times = {0};
    link_budget budget;
    if (s->size == 1 || (s->bucket_bytes > 0 && !weighs))
        return LS_OK;
    LS_TRY(link_budget_begin(s->control, s->measure_seconds, &budget, error));
    LS_TRY(measure_network(s, weighs, &budget, &times, error));
    link_cost hop = hop_of(s, &times.reduce);
    exchange->latency_seconds = hop.latency_seconds;
    exchange->bytes_per_second = hop.bytes_per_second;
    if (weighs)
        LS_TRY(choose_factors(mode, candidates, &budget, &times, error));
    exchange->measured_seconds = clock_seconds() - budget.began;
    unit_exchange *units = exchange->units;
    int status = comm_broadcast_bytes(s->control, exchange, sizeof *exchange, 0, error);
    exchange->units = units; /* this rank's */
    LS_TRY(status);
    return comm_broadcast_bytes(s->control, units, (size_t)s->graph->unit_count * sizeof *units, 0,
                                error);
}

bucket_rule exchange_given_rule(const mode_settings *s) {
    size_t element = dtype_bytes(s->gradient_type);
    return (bucket_rule){.most = larger(s->bucket_bytes / element, 1), .worth = SIZE_MAX};
}

static bucket_rule rule_of(const mode *mode) {
    const mode_settings *s = &mode->settings;
    size_t element = dtype_bytes(s->gradient_type), total = s->graph->parameter_count;
    if (s->bucket_bytes > 0)
        return exchange_given_rule(s);
    if (isnan(mode->exchange.latency_seconds)) /* nothing travels */
        return (bucket_rule){.most = total, .worth = total};
    /* link.h: 2 a + 2 (R-1)/R n/B; latency x bandwidth of the whole call is R a B. */
    return bucket_rule_for(total, element, mode->exchange.latency_seconds * s->size,
                           mode->exchange.bytes_per_second);
}

/* Each rank forms the gradient of gathered rows by itself: by other plans (one rank's library
 * refused what another's takes) it would have other bits, and the ranks' parameters would part. */
static int leave_unlike_products(mode *mode, ls_error *error) {
    const mode_settings *s = &mode->settings;
    bool chosen[s->graph->unit_count + 1], any = false;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        any |= chosen[unit] = mode->exchange.units[unit].factors;
    if (!any || s->size == 1)
        return LS_OK;
    factors *trial = NULL;
    LS_TRY(factors_create(mode, chosen, &trial, error));
    const uint64_t exact = ((uint64_t)1 << 53) - 1; /* in a double */
    double hash = (double)(network_gathered_hash(s->network) & exact), least = hash, most = hash;
    factors_destroy(trial);
    network_forget_gathered(s->network);
    LS_TRY(comm_allreduce_double(s->control, &least, 1, REDUCTION_MIN, error));
    LS_TRY(comm_allreduce_double(s->control, &most, 1, REDUCTION_MAX, error));
    if (least == most)
        return LS_OK;
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        mode->exchange.units[unit].factors = false;
    device_remark(&s->device->fallbacks, "ddp: the ranks compute products of gathered factors by "
                                         "different plans; taken: an all-reduce of all gradients");
    return LS_OK;
}

int exchange_choose(mode *mode, ls_error *error) {
    const mode_settings *s = &mode->settings;
    mode_exchange *exchange = &mode->exchange;
    bool candidates[s->graph->unit_count + 1];
    bool read = s->factors == FACTORS_AUTO && pair_serves(mode); /* and so nothing is sent */
    *exchange =
        (mode_exchange){.used = true,
                        .latency_seconds = NAN,
                        .bytes_per_second = NAN,
                        .units = calloc((size_t)s->graph->unit_count + 1, sizeof *exchange->units)};
    if (!exchange->units)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int unit = 0; unit < s->graph->unit_count; unit++) {
        int64_t in, out;
        bool may = may_factor(s, unit, &in, &out), has = has_factors(s, unit, &in, &out);
        candidates[unit] = may && !read;
        exchange->units[unit] =
            (unit_exchange){.factors = s->factors == FACTORS_ON && candidates[unit],
                            .outgrown = s->size > 1 && s->factors == FACTORS_AUTO && has && !may,
                            .factor_seconds = NAN,
                            .reduce_seconds = NAN,
                            .spread_seconds = NAN};
    }
    LS_TRY(choose_by_measuring(mode, candidates, error));
    LS_TRY(leave_unlike_products(mode, error));
    bucket_rule rule = rule_of(mode);
    exchange->bucket_most = rule.most;
    exchange->bucket_worth = rule.worth;
    return LS_OK;
}
