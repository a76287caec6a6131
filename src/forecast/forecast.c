#include "forecast/forecast.h"

#include "mode/buckets.h"

static int64_t divide_up(int64_t a, int64_t b) {
    return (a + b - 1) / b;
}

static step_case case_of(const step_model *step, const forecast_network *network, bool strong,
                         int ranks) {
    int64_t batch = strong ? divide_up(step->batch, ranks) : step->batch;
    return (step_case){.step = step,
                       .network = network,
                       .ranks = ranks,
                       .batch = batch,
                       .global_batch = strong ? step->batch : step->batch * ranks};
}

/* What the fit says that an all-reduce takes: so much, and so much a byte. */
static double fitted(const forecast_network *network, link_kind kind, int ranks, double bytes) {
    link_network links = {.inside = network->inside.kinds[kind].fit,
                          .between = network->between.kinds[kind].fit,
                          .ranks_per_node = network->ranks_per_node,
                          .two_level = network->two_level};
    return link_network_seconds(&links, LINK_ALLREDUCE, ranks, bytes);
}

static step_buckets buckets_of(const step_case *at, int64_t bucket_bytes) {
    link_kind kind = at->choice == CHOICE_BUCKETS_BF16 ? LINK_SUM_BF16 : LINK_SUM_F32;
    size_t element = dtype_bytes(link_kind_type(kind));
    if (bucket_bytes > 0) /* bytes on their way, as train counts them */
        return (step_buckets){
            .most = bucket_bytes > (int64_t)element ? bucket_bytes / (int64_t)element : 1,
            .worth = INT64_MAX};
    if (at->ranks == 1)
        return (step_buckets){.most = at->step->parameters, .worth = at->step->parameters};
    double latency = fitted(at->network, kind, at->ranks, 0);
    double megabyte = fitted(at->network, kind, at->ranks, 1e6) - latency;
    bucket_rule rule =
        bucket_rule_for((size_t)at->step->parameters, element, latency, 1e6 / megabyte);
    return (step_buckets){.most = (int64_t)rule.most, .worth = (int64_t)rule.worth};
}

static forecast_line line_of(const step_case *at, const step_forecast *found, double alone_rate) {
    double rate = (double)at->global_batch / found->seconds;
    return (forecast_line){
        .ranks = at->ranks,
        .nodes = (int)divide_up(at->ranks, at->network->ranks_per_node),
        .global_batch = at->global_batch,
        .seconds = found->seconds,
        .images_per_second = rate,
        .speedup = rate / alone_rate,
        .efficiency = rate / alone_rate / at->ranks,
        .exposed = 1 - found->computing_seconds / found->seconds,
        .choice = at->choice,
        .collectives = found->collectives,
        .factored_layers = found->factored_layers,
    };
}

static void keep_best(forecast *self, int line) {
    forecast_line *best = &self->best.lines[line];
    *best = self->choices[0].lines[line];
    for (int choice = 1; choice < CHOICES; choice++)
        if (self->choices[choice].lines[line].seconds < best->seconds)
            *best = self->choices[choice].lines[line];
    self->best.count = line + 1;
}

int forecast_make(const step_model *step, const forecast_network *network, int64_t bucket_bytes,
                  bool strong, forecast *out, ls_error *error) {
    *out = (forecast){.strong = strong};
    double alone_rate = 0;
    for (int ranks = 1, line = 0; ranks <= FORECAST_MOST_RANKS; ranks *= 2, line++) {
        if (strong && ranks > step->batch)
            break;
        for (int choice = 0; choice < CHOICES; choice++) {
            step_case at = case_of(step, network, strong, ranks);
            step_forecast found;
            at.choice = (comm_choice)choice;
            at.buckets = buckets_of(&at, bucket_bytes);
            LS_TRY(step_simulate(&at, &found, error));
            if (!(found.seconds > 0))
                return ls_fail(error, LS_BAD_INPUT, "a step takes no time: every row is 0 seconds");
            if (ranks == 1)
                alone_rate = (double)at.global_batch / found.seconds;
            out->choices[choice].lines[line] = line_of(&at, &found, alone_rate);
            out->choices[choice].count = line + 1;
        }
        keep_best(out, line);
    }
    return LS_OK;
}
