#include "report/facts/gpu_sums.h"
#include "report/facts/throttle.h"
#include "report/run/gpu_text.h"
#include "report/text/number.h"
#include "report/text/table.h"

#include <math.h>
#include <stddef.h>

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
               percent(gpu_value(usage, rank, offsetof(gpu_usage, utilisation)), 1).text);
    add_cell(rows, gpu_value(usage, rank, offsetof(gpu_usage, peak_memory_bytes)) / 1e6, 1, " MB");
    add_cell(rows, gpu_value(usage, rank, offsetof(gpu_usage, energy_joules)), 1, " J");
    add_cell(rows, gpu_value(usage, rank, offsetof(gpu_usage, mean_power_watts)), 1, " W");
    add_cell(rows, gpu_value(usage, rank, offsetof(gpu_usage, maximum_temperature_celsius)), 0,
             " C");
    if (gpu->measured && gpu->throttle_known)
        throttle_text(&reasons, gpu->throttle_reasons);
    table_cell(rows, "%s", reasons.bytes ? reasons.bytes : "-");
    text_free(&reasons);
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
    if (!has_gpus(facts) || !gpus_measured(facts, usage))
        return;
    table rows = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    for (int rank = 0; rank < facts->ranks; rank++)
        add_rank(&rows, facts, usage, rank);
    text_add(out, "\n");
    table_print(&rows, TABLE_TEXT, "", out);
    table_free(&rows);
    text_add(out, "GPUs in training time: utilisation %s, host CPUs %s busy\n",
             percent(GPU_SUM_UP(facts, usage, utilisation, EVERY_RANK).mean, 1).text,
             percent(GPU_SUM_UP(facts, usage, host_cpu_utilisation, EVERY_RANK).mean, 1).text);
}
