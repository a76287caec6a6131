#include "forecast/forecast.h"

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
    step_buckets buckets = {.most = bucket_bytes / 4 > 0 ? bucket_bytes / 4 : 1,
                            .worth = INT64_MAX};
    double alone_rate = 0;
    for (int ranks = 1, line = 0; ranks <= FORECAST_MOST_RANKS; ranks *= 2, line++) {
        if (strong && ranks > step->batch)
            break;
        for (int choice = 0; choice < CHOICES; choice++) {
            step_case at = case_of(step, network, strong, ranks);
            step_forecast found;
            at.choice = (comm_choice)choice;
            at.buckets = buckets;
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
