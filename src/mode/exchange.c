#include "mode/exchange.h"
#include "comm/link.h"
#include "mode/factors.h"

#include <math.h>
#include <string.h>

enum { SIZES = 4 };

/* A layer that could go as factors. */
static bool is_candidate(const mode_settings *s, int unit, int64_t *in, int64_t *out) {
    return graph_unit_factors(s->graph, unit, in, out);
}

static size_t unit_bytes(const mode_settings *s, int unit) {
    const graph_layer *layer = &s->graph->layers[s->graph->unit_layers[unit]];
    return (layer->weight_count + layer->bias_count) * dtype_bytes(s->gradient_type);
}

static size_t rows_bytes(const mode_settings *s, int64_t length) {
    return (size_t)(s->training_batch * length) * dtype_bytes(network_type(s->network));
}

static size_t larger(size_t a, size_t b) {
    return a > b ? a : b;
}

/* Latency and bandwidth of a call from times up to the largest size that will come. */
static int measure(const mode_settings *s, link_call call, dtype type, size_t largest,
                   link_cost *out, ls_error *error) {
    size_t bytes[SIZES] = {4096, 65536, 1048576, larger(largest, 4194304)};
    double seconds[SIZES];
    link_probe probe = {s->comm, s->control, s->device, s->stream};
    LS_TRY(link_measure(&probe, call, type, bytes, SIZES, seconds, error));
    return link_fit(call, s->size, bytes, seconds, SIZES, out, error);
}

static int measure_network(const mode_settings *s, link_cost *reduce, link_cost *gather,
                           ls_error *error) {
    size_t unit_most = 0, rows_most = 0;
    for (int unit = 0; unit < s->graph->unit_count; unit++) {
        int64_t in, out;
        unit_most = larger(unit_most, unit_bytes(s, unit));
        if (is_candidate(s, unit, &in, &out))
            rows_most = larger(rows_most, rows_bytes(s, larger((size_t)in, (size_t)out)));
    }
    LS_TRY(measure(s, LINK_ALLREDUCE, s->gradient_type, unit_most, reduce, error));
    if (s->factors != FACTORS_AUTO)
        return LS_OK;
    return measure(s, LINK_ALLGATHER, network_type(s->network), rows_most, gather, error);
}

/* The slowest rank's seconds of every candidate's product. */
static int measure_products(mode *mode, const bool *candidates, double *seconds, ls_error *error) {
    const mode_settings *s = &mode->settings;
    factors *trial = NULL;
    LS_TRY(factors_create(mode, candidates, &trial, error));
    int status = LS_OK;
    for (int unit = 0; unit < s->graph->unit_count && status == LS_OK; unit++)
        if (candidates[unit])
            status = factors_product_seconds(trial, unit, &seconds[unit], error);
    factors_destroy(trial);
    network_forget_gathered(s->network); /* what is chosen is prepared anew */
    LS_TRY(status);
    return comm_allreduce_double(s->control, seconds, (size_t)s->graph->unit_count, REDUCTION_MAX,
                                 error);
}

static void weigh(const mode_settings *s, int unit, const link_cost *reduce,
                  const link_cost *gather, double product_seconds, unit_exchange *out) {
    int64_t in = 0, width = 0;
    is_candidate(s, unit, &in, &width);
    out->reduce_seconds =
        link_seconds(reduce, LINK_ALLREDUCE, s->size, (double)unit_bytes(s, unit));
    out->factor_seconds =
        link_seconds(gather, LINK_ALLGATHER, s->size, (double)rows_bytes(s, in)) +
        link_seconds(gather, LINK_ALLGATHER, s->size, (double)rows_bytes(s, width)) +
        product_seconds * (s->size - 1) / s->size;
    out->factors = out->factor_seconds <
                   0.9 * out->reduce_seconds - link_seconds(reduce, LINK_ALLREDUCE, s->size, 0);
}

static int choose_factors(mode *mode, const bool *candidates, const link_cost *reduce,
                          const link_cost *gather, ls_error *error) {
    const mode_settings *s = &mode->settings;
    double products[GRAPH_MAX_LAYERS] = {0};
    LS_TRY(measure_products(mode, candidates, products, error));
    for (int unit = 0; unit < s->graph->unit_count; unit++)
        if (candidates[unit])
            weigh(s, unit, reduce, gather, products[unit], &mode->exchange.units[unit]);
    return LS_OK;
}

/* Where there is nothing to choose from: one rank, or all was given. */
static int choose_by_measuring(mode *mode, const bool *candidates, ls_error *error) {
    const mode_settings *s = &mode->settings;
    mode_exchange *exchange = &mode->exchange;
    bool any = memchr(candidates, true, (size_t)s->graph->unit_count) != NULL;
    link_cost reduce = {0}, gather = {0};
    if (s->size == 1 || (s->bucket_bytes > 0 && !(s->factors == FACTORS_AUTO && any)))
        return LS_OK;
    LS_TRY(measure_network(s, &reduce, &gather, error));
    exchange->latency_seconds = reduce.latency_seconds;
    exchange->bytes_per_second = reduce.bytes_per_second;
    if (s->factors == FACTORS_AUTO && any)
        LS_TRY(choose_factors(mode, candidates, &reduce, &gather, error));
    return comm_broadcast_bytes(s->control, exchange, sizeof *exchange, 0, error);
}

static bucket_rule rule_of(const mode *mode) {
    const mode_settings *s = &mode->settings;
    size_t element = dtype_bytes(s->gradient_type), total = s->graph->parameter_count;
    if (s->bucket_bytes > 0)
        return (bucket_rule){.most = larger(s->bucket_bytes / element, 1), .worth = SIZE_MAX};
    if (isnan(mode->exchange.latency_seconds)) /* nothing travels */
        return (bucket_rule){.most = total, .worth = total};
    /* All-reduce of n bytes by the fit: 2 a + 2 (R-1)/R n/B. */
    return bucket_rule_for(total, element, mode->exchange.latency_seconds * s->size,
                           mode->exchange.bytes_per_second);
}

int exchange_choose(mode *mode, ls_error *error) {
    const mode_settings *s = &mode->settings;
    mode_exchange *exchange = &mode->exchange;
    bool candidates[GRAPH_MAX_LAYERS] = {false};
    *exchange = (mode_exchange){.used = true, .latency_seconds = NAN, .bytes_per_second = NAN};
    for (int unit = 0; unit < s->graph->unit_count; unit++) {
        int64_t in, out;
        candidates[unit] = s->factors != FACTORS_OFF && is_candidate(s, unit, &in, &out);
        exchange->units[unit] =
            (unit_exchange){.factors = s->factors == FACTORS_ON && candidates[unit],
                            .factor_seconds = NAN,
                            .reduce_seconds = NAN};
    }
    LS_TRY(choose_by_measuring(mode, candidates, error));
    bucket_rule rule = rule_of(mode);
    exchange->bucket_most = rule.most;
    exchange->bucket_worth = rule.worth;
    return LS_OK;
}
