#include "report/gpu_text.h"
#include "report/run_text.h"
#include "report/table.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

typedef enum { EVERY_RANK, EVERY_GPU } whose;

/* The double at `offset` of a rank's gpu_usage; NAN where it was not measured. */
static double value_of(const rank_usage *usage, int rank, size_t offset) {
    double value = NAN;
    if (usage && usage[rank].gpu.measured)
        memcpy(&value, (const char *)&usage[rank].gpu + offset, sizeof value);
    return value;
}

/* A lower rank has the same GPU: it has been counted. */
static bool is_counted(const run_facts *facts, int rank) {
    const char *uuid = facts->rank_list ? facts->rank_list[rank].gpu_uuid : "";
    for (int other = 0; uuid[0] && other < rank; other++)
        if (strcmp(facts->rank_list[other].gpu_uuid, uuid) == 0)
            return true;
    return false;
}

typedef struct summed {
    double sum, mean, minimum, maximum; /* of those that were measured; NAN where none was */
    int measured, missing;
} summed;

static summed sum_up(const run_facts *facts, const rank_usage *usage, size_t offset, whose of) {
    summed out = {.sum = 0, .minimum = INFINITY, .maximum = -INFINITY};
    for (int rank = 0; rank < facts->ranks && usage; rank++) {
        double value = value_of(usage, rank, offset);
        if (of == EVERY_GPU && is_counted(facts, rank))
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

#define SUM_UP(field, of) sum_up(facts, usage, offsetof(gpu_usage, field), of)

/* Of all GPUs, or of none: a sum without one of them would be taken for the whole. */
static double energy_of(const run_facts *facts, const rank_usage *usage) {
    summed energy = SUM_UP(energy_joules, EVERY_GPU);
    return energy.missing ? NAN : energy.sum;
}

/* All that were seen on any GPU; false where none was asked. */
static bool throttles_of(const run_facts *facts, const rank_usage *usage, uint64_t *reasons) {
    bool known = false;
    *reasons = 0;
    for (int rank = 0; rank < facts->ranks && usage; rank++)
        if (usage[rank].gpu.measured && usage[rank].gpu.throttle_known) {
            known = true;
            *reasons |= usage[rank].gpu.throttle_reasons;
        }
    return known;
}

/* "12.3 W"; "-" alone where it was not measured. */
static void add_cell(table *rows, double value, int decimals, const char *unit) {
    table_cell(rows, "%s%s", number(value, decimals).text, isnan(value) ? "" : unit);
}

static void add_rank(table *rows, const run_facts *facts, const rank_usage *usage, int rank) {
    const gpu_usage *gpu = &usage[rank].gpu;
    text_buffer reasons = {0};
    table_cell(rows, "%d", rank);
    table_cell(rows, "%s", uuid_tail(facts->rank_list[rank].gpu_uuid));
    table_cell(rows, "%s",
               percent(value_of(usage, rank, offsetof(gpu_usage, utilisation)), 1).text);
    add_cell(rows, value_of(usage, rank, offsetof(gpu_usage, peak_memory_bytes)) / 1e6, 1, " MB");
    add_cell(rows, value_of(usage, rank, offsetof(gpu_usage, energy_joules)), 1, " J");
    add_cell(rows, value_of(usage, rank, offsetof(gpu_usage, mean_power_watts)), 1, " W");
    add_cell(rows, value_of(usage, rank, offsetof(gpu_usage, maximum_temperature_celsius)), 0,
             " C");
    if (gpu->measured && gpu->throttle_known)
        throttle_text(&reasons, gpu->throttle_reasons);
    table_cell(rows, "%s", reasons.bytes ? reasons.bytes : "-");
    text_free(&reasons);
}

/* Of a GPU: the host's values are there without NVML too. */
static bool anything_measured(const run_facts *facts, const rank_usage *usage) {
    for (int rank = 0; rank < facts->ranks && usage; rank++) {
        const gpu_usage *gpu = &usage[rank].gpu;
        if (gpu->measured && (!isnan(gpu->utilisation) || !isnan(gpu->peak_memory_bytes) ||
                              !isnan(gpu->energy_joules) || !isnan(gpu->mean_power_watts) ||
                              !isnan(gpu->maximum_temperature_celsius) || gpu->throttle_known))
            return true;
    }
    return false;
}

void add_gpu_usage(text_buffer *out, const run_facts *facts, const rank_usage *usage) {
    static const table_column columns[] = {{"rank", false},
                                           {"GPU", true},
                                           {"GPU utilisation", false},
                                           {"GPU memory", false},
                                           {"energy", false},
                                           {"mean power", false},
                                           {"hottest", false},
                                           {"clocks held back by", true}};
    if (!has_gpus(facts) || !anything_measured(facts, usage))
        return;
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (int rank = 0; rank < facts->ranks; rank++)
        add_rank(&rows, facts, usage, rank);
    text_add(out, "\n");
    table_print(&rows, TABLE_TEXT, "", out);
    table_free(&rows);
    double energy = energy_of(facts, usage);
    text_add(out, "GPUs in training time: utilisation %s, energy %s%s, host CPUs %s busy\n",
             percent(SUM_UP(utilisation, EVERY_RANK).mean, 1).text, number(energy, 1).text,
             isnan(energy) ? "" : " J",
             percent(SUM_UP(host_cpu_utilisation, EVERY_RANK).mean, 1).text);
}

static void put_bytes(csv_row *row, const char *column, double bytes) {
    if (isnan(bytes))
        csv_put_text(row, column, "");
    else
        csv_put_integer(row, column, llround(bytes));
}

static void put_list(csv_row *row, const char *column, const run_facts *facts,
                     const rank_usage *usage, size_t offset) {
    text_buffer list = {0};
    bool any = anything_measured(facts, usage);
    for (int rank = 0; any && rank < facts->ranks; rank++) {
        double value = value_of(usage, rank, offset);
        text_add(&list, "%s", rank ? ";" : "");
        if (!isnan(value))
            text_add(&list, "%.9g", value);
    }
    csv_put_text(row, column, list.bytes ? list.bytes : "");
    row->values.failed |= list.failed;
    text_free(&list);
}

static void put_throttles(csv_row *row, const run_facts *facts, const rank_usage *usage) {
    text_buffer reasons = {0};
    uint64_t bits;
    if (throttles_of(facts, usage, &bits))
        throttle_text(&reasons, bits);
    csv_put_text(row, "gpu_clocks_held_back_by", reasons.bytes ? reasons.bytes : "");
    row->values.failed |= reasons.failed;
    text_free(&reasons);
}

void put_gpu_usage(csv_row *row, const run_facts *facts, const rank_usage *usage) {
    summed busy = SUM_UP(utilisation, EVERY_RANK);
    csv_put_number(row, "gpu_utilisation_minimum", busy.minimum);
    csv_put_number(row, "gpu_utilisation_mean", busy.mean);
    put_bytes(row, "gpu_peak_memory_maximum_bytes", SUM_UP(peak_memory_bytes, EVERY_GPU).maximum);
    csv_put_number(row, "gpu_energy_joules", energy_of(facts, usage));
    csv_put_number(row, "gpu_mean_power_watts", SUM_UP(mean_power_watts, EVERY_GPU).mean);
    csv_put_number(row, "gpu_maximum_temperature_celsius",
                   SUM_UP(maximum_temperature_celsius, EVERY_GPU).maximum);
    put_throttles(row, facts, usage);
    csv_put_number(row, "host_cpu_utilisation_mean", SUM_UP(host_cpu_utilisation, EVERY_RANK).mean);
    put_list(row, "rank_gpu_utilisation", facts, usage, offsetof(gpu_usage, utilisation));
    put_list(row, "rank_gpu_energy_joules", facts, usage, offsetof(gpu_usage, energy_joules));
}
