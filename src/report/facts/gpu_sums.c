#include "report/facts/gpu_sums.h"

#include <math.h>
#include <string.h>

bool has_gpus(const run_facts *facts) {
    for (int rank = 0; rank < facts->ranks && facts->rank_list; rank++)
        if (facts->rank_list[rank].gpu_uuid[0])
            return true;
    return false;
}

double gpu_value(const rank_usage *usage, int rank, size_t offset) {
    double value = NAN;
    if (usage && usage[rank].gpu.measured)
        memcpy(&value, (const char *)&usage[rank].gpu + offset, sizeof value);
    return value;
}

bool is_first_on_gpu(const rank_facts *ranks, int rank) {
    for (int other = 0; ranks[rank].gpu_uuid[0] && other < rank; other++)
        if (strcmp(ranks[other].gpu_uuid, ranks[rank].gpu_uuid) == 0)
            return false;
    return true;
}

bool is_first_on_host(const rank_facts *ranks, int rank) {
    for (int other = 0; other < rank; other++)
        if (strcmp(ranks[other].host, ranks[rank].host) == 0)
            return false;
    return true;
}

gpu_sum gpu_sum_up(const run_facts *facts, const rank_usage *usage, size_t offset, gpu_whose of) {
    gpu_sum out = {.sum = 0, .minimum = INFINITY, .maximum = -INFINITY};
    for (int rank = 0; rank < facts->ranks && usage; rank++) {
        double value = gpu_value(usage, rank, offset);
        if (of == EVERY_GPU && facts->rank_list && !is_first_on_gpu(facts->rank_list, rank))
            continue;
        if (isnan(value)) {
            out.missing++;
            continue;
        }
        out.sum += value;
        out.minimum = fmin(out.minimum, value);
        out.maximum = fmax(out.maximum, value);
        out.measured++;
    }
    if (out.measured == 0)
        out.sum = out.minimum = out.maximum = NAN;
    out.mean = out.sum / (out.measured ? out.measured : 1);
    return out;
}

bool gpu_throttles(const run_facts *facts, const rank_usage *usage, uint64_t *reasons) {
    bool known = false;
    *reasons = 0;
    for (int rank = 0; rank < facts->ranks && usage; rank++)
        if (usage[rank].gpu.measured && usage[rank].gpu.throttle_known) {
            known = true;
            *reasons |= usage[rank].gpu.throttle_reasons;
        }
    return known;
}

bool gpus_measured(const run_facts *facts, const rank_usage *usage) {
    for (int rank = 0; rank < facts->ranks && usage; rank++) {
        const gpu_usage *gpu = &usage[rank].gpu;
        if (gpu->measured && (!isnan(gpu->utilisation) || !isnan(gpu->peak_memory_bytes) ||
                              !isnan(gpu->energy_joules) || !isnan(gpu->mean_power_watts) ||
                              !isnan(gpu->maximum_temperature_celsius) || gpu->throttle_known))
            return true;
    }
    return false;
}
