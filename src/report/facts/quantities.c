#include "report/facts/quantities.h"

#include "report/facts/gpu_sums.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

double other_seconds(double seconds, const phase_seconds *phases) {
    return seconds - phases->data - phases->forward - phases->backward - phases->communication -
           phases->optimizer;
}

double busy_seconds(const phase_seconds *phases) {
    return phases->data + phases->forward + phases->backward + phases->optimizer;
}

double device_busy(const run_facts *facts, const run_totals *totals) {
    const phase_seconds *phases = &totals->phases;
    double seconds = totals->training_seconds, waited = totals->loader_wait_share * seconds;
    if (has_gpus(facts))
        return GPU_SUM_UP(facts, totals->rank_usage, utilisation, EVERY_RANK).mean;
    double making = isnan(waited) ? phases->data : fmax(phases->data - waited, 0);
    double busy = making + phases->forward + phases->backward + phases->optimizer;
    return seconds > 0 ? busy / seconds : NAN;
}

double rate(int64_t amount, double seconds) {
    return seconds > 0 ? (double)amount / seconds : NAN;
}

double per_image(double amount, const run_totals *totals) {
    return totals->images > 0 ? amount / (double)totals->images : NAN;
}

double step_seconds(const run_facts *facts, const run_totals *totals) {
    double steps = (double)totals->images / (double)facts->global_batch;
    return steps > 0 ? totals->training_seconds / steps : NAN;
}

/* Of the double at `offset` of each rank's usage. */
spread spread_of_usage(const rank_usage *usage, int ranks, size_t offset) {
    spread out = {INFINITY, 0, -INFINITY};
    int measured = 0;
    for (int rank = 0; rank < ranks && usage; rank++) {
        double value;
        memcpy(&value, (const char *)&usage[rank] + offset, sizeof value);
        if (isnan(value))
            continue;
        out.minimum = fmin(out.minimum, value);
        out.maximum = fmax(out.maximum, value);
        out.mean += value;
        measured++;
    }
    if (measured == 0)
        return (spread){NAN, NAN, NAN};
    out.mean /= measured;
    return out;
}

spread peak_memory_spread(const rank_usage *usage, int ranks) {
    return spread_of_usage(usage, ranks, offsetof(rank_usage, peak_memory_bytes));
}

double most_held_bytes(const rank_usage *usage, int ranks) {
    return spread_of_usage(usage, ranks, offsetof(rank_usage, most_held_bytes)).maximum;
}

spread cpu_utilisation_spread(const rank_usage *usage, int ranks) {
    return spread_of_usage(usage, ranks, offsetof(rank_usage, cpu_utilisation));
}
