#include "mode/ddp_price.h"

#include "comm/link/link.h"

#include <math.h>

/* Of the sum this much is there when backward ends: the last bucket (exchange.c's are as many). */
enum { BUCKETS = 16 };
static const double MEASURE_SECONDS = 0.1;
static const size_t SIZES[2] = {4096, 1 << 20};

static int measure(const mode_settings *s, double seconds[2], ls_error *error) {
    double spread[2];
    link_room room = {0};
    link_probe probe = {.comm = s->comm,
                        .control = s->control,
                        .device = s->device,
                        .stream = s->stream,
                        .room = &room};
    link_budget budget;
    LS_TRY(link_budget_begin(s->control, MEASURE_SECONDS, &budget, error));
    int status = link_measure_within(&probe, LINK_ALLREDUCE, DTYPE_F32, SIZES, 2, &budget, 0,
                                     seconds, spread, error);
    link_release_room(&probe);
    return status;
}

int ddp_price_exposed(const mode *mode, double backward_seconds, double *out, ls_error *error) {
    const mode_settings *s = &mode->settings;
    double seconds[2], bytes = (double)s->graph->parameter_count * sizeof(float);
    *out = 0;
    if (s->size == 1)
        return LS_OK;
    LS_TRY(measure(s, seconds, error));
    double slope = fmax(0, seconds[1] - seconds[0]) / (double)(SIZES[1] - SIZES[0]);
    double all = seconds[0] + slope * fmax(0, bytes - (double)SIZES[0]);
    bool beside = s->device->facts.asynchronous || s->between_nodes;
    *out = beside ? fmax(all - backward_seconds, all / BUCKETS) : all;
    return LS_OK;
}

int ddp_price_memory(const mode *mode, size_t bytes[MEMORY_KINDS], ls_error *error) {
    mode_settings ddp = mode->settings;
    ddp.group = (shard_group){0};
    ddp.factors = FACTORS_OFF;
    return mode_plan_memory("ddp", &ddp, bytes, error);
}
