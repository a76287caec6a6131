#include "report/facts/derive.h"

#include "report/facts/files.h"
#include "report/facts/gpu_sums.h"
#include "report/facts/pace.h"
#include "report/facts/quantities.h"
#include "report/facts/throttle.h"

#include <math.h>
#include <string.h>

/* ---- lists: one value a rank, in rank order, with semicolons between */

typedef void (*add_of_rank)(text_buffer *out, const rank_facts *rank);

static void add_host(text_buffer *out, const rank_facts *rank) {
    text_add(out, "%s", rank->host);
}

static void add_device(text_buffer *out, const rank_facts *rank) {
    text_add(out, "%s", rank->device);
}

static void add_numa_node(text_buffer *out, const rank_facts *rank) {
    if (rank->numa_node >= 0)
        text_add(out, "%d", rank->numa_node);
}

static void add_cores(text_buffer *out, const rank_facts *rank) {
    text_add(out, "%s", rank->cores);
}

static void add_threads(text_buffer *out, const rank_facts *rank) {
    text_add(out, "%d", rank->threads);
}

static void add_uuid(text_buffer *out, const rank_facts *rank) {
    text_add(out, "%s", rank->gpu_uuid);
}

static void add_gpu_numa_node(text_buffer *out, const rank_facts *rank) {
    if (rank->gpu_uuid[0] && rank->gpu_numa_node >= 0)
        text_add(out, "%d", rank->gpu_numa_node);
}

static void add_driver(text_buffer *out, const rank_facts *rank) {
    text_add(out, "%s", rank->driver);
}

static void add_each(text_buffer *out, const run_facts *facts, add_of_rank add) {
    for (int rank = 0; rank < facts->ranks && facts->rank_list; rank++) {
        text_add(out, "%s", rank ? ";" : "");
        add(out, &facts->rank_list[rank]);
    }
}

static void list_ranks(run_derived *out, const run_facts *facts) {
    add_each(&out->rank_hosts, facts, add_host);
    add_each(&out->rank_devices, facts, add_device);
    add_each(&out->rank_numa_nodes, facts, add_numa_node);
    add_each(&out->rank_cores, facts, add_cores);
    add_each(&out->rank_threads, facts, add_threads);
    if (!has_gpus(facts))
        return;
    add_each(&out->rank_gpu_uuids, facts, add_uuid);
    add_each(&out->rank_gpu_numa_nodes, facts, add_gpu_numa_node);
    add_each(&out->rank_gpu_drivers, facts, add_driver);
}

/* Empty between its semicolons where it was not measured. */
static void add_number(text_buffer *out, int rank, int digits, double value) {
    text_add(out, "%s", rank ? ";" : "");
    if (!isnan(value))
        text_add(out, "%.*g", digits, value);
}

/* ---- */

/* Of the rank that has most. */
static double most_of(const run_facts *facts, size_t member) {
    double most = 0;
    for (int rank = 0; rank < facts->ranks && facts->rank_list; rank++)
        most = fmax(most, *(const double *)((const char *)&facts->rank_list[rank].memory + member));
    return most;
}

/* Of the rank that may hold least; NAN: none has a limit. */
static double least_limit(const run_facts *facts) {
    double least = NAN; /* fmin ignores it */
    for (int rank = 0; rank < facts->ranks && facts->rank_list; rank++)
        if (facts->rank_list[rank].memory.limit > 0)
            least = fmin(least, facts->rank_list[rank].memory.limit);
    return least;
}

static void derive_memory(run_derived *out, const run_facts *facts) {
    out->memory_parameters_bytes = most_of(facts, offsetof(memory_use, parameters));
    out->memory_gradients_bytes = most_of(facts, offsetof(memory_use, gradients));
    out->memory_optimizer_bytes = most_of(facts, offsetof(memory_use, optimizer));
    out->memory_packed_bytes = most_of(facts, offsetof(memory_use, packed));
    out->memory_activations_bytes = most_of(facts, offsetof(memory_use, activations));
    out->memory_workspace_bytes = most_of(facts, offsetof(memory_use, workspace));
    out->memory_communication_bytes = most_of(facts, offsetof(memory_use, communication));
    out->memory_loader_bytes = most_of(facts, offsetof(memory_use, loader));
    out->memory_checkpoint_bytes = most_of(facts, offsetof(memory_use, checkpoint));
    out->memory_program_bytes = most_of(facts, offsetof(memory_use, program));
    out->memory_planned_bytes = most_of(facts, offsetof(memory_use, planned));
    out->memory_limit_bytes = least_limit(facts);
}

static void derive_times(run_derived *out, const run_facts *facts, const run_totals *totals) {
    const phase_seconds *phases = &totals->phases;
    out->images_per_second = rate(totals->images, totals->training_seconds);
    out->gpu_joules_per_image = per_image(totals->gpu_energy_joules, totals);
    out->cpu_joules_per_image = per_image(totals->cpu_energy_joules, totals);
    out->step_seconds = step_seconds(facts, totals);
    out->step_floor_seconds = totals->step_floor.seconds;
    out->data_seconds = phases->data;
    out->forward_seconds = phases->forward;
    out->backward_seconds = phases->backward;
    out->exposed_communication_seconds = phases->communication;
    out->optimizer_seconds = phases->optimizer;
    out->other_seconds = other_seconds(totals->training_seconds, phases);
    out->device_busy = device_busy(facts, totals);
    out->waiting_seconds = totals->ranks ? phases->waiting : NAN;
}

static void derive_usage(run_derived *out, const rank_usage *usage, int ranks) {
    spread memory = peak_memory_spread(usage, ranks), busy = cpu_utilisation_spread(usage, ranks);
    out->peak_memory_maximum_bytes = memory.maximum;
    out->peak_memory_mean_bytes = memory.mean;
    out->memory_measured_bytes = most_held_bytes(usage, ranks);
    out->offloaded_bytes =
        spread_of_usage(usage, ranks, offsetof(rank_usage, offloaded_bytes)).maximum;
    out->offload_moved_bytes =
        spread_of_usage(usage, ranks, offsetof(rank_usage, offload_moved_bytes)).maximum;
    out->exposed_offload_seconds =
        spread_of_usage(usage, ranks, offsetof(rank_usage, exposed_offload_seconds)).maximum;
    out->cpu_utilisation_minimum = busy.minimum;
    out->cpu_utilisation_mean = busy.mean;
    out->cpu_utilisation_maximum = busy.maximum;
    for (int rank = 0; rank < ranks && usage; rank++) {
        add_number(&out->rank_peak_memory_bytes, rank, 17, usage[rank].peak_memory_bytes);
        add_number(&out->rank_cpu_utilisation, rank, 9, usage[rank].cpu_utilisation);
    }
}

static void derive_gpus(run_derived *out, const run_facts *facts, const rank_usage *usage) {
    gpu_sum busy = GPU_SUM_UP(facts, usage, utilisation, EVERY_RANK);
    uint64_t reasons;
    out->gpu_utilisation_minimum = busy.minimum;
    out->gpu_utilisation_mean = busy.mean;
    out->gpu_peak_memory_maximum_bytes =
        GPU_SUM_UP(facts, usage, peak_memory_bytes, EVERY_GPU).maximum;
    out->gpu_mean_power_watts = GPU_SUM_UP(facts, usage, mean_power_watts, EVERY_GPU).mean;
    out->gpu_maximum_temperature_celsius =
        GPU_SUM_UP(facts, usage, maximum_temperature_celsius, EVERY_GPU).maximum;
    out->host_cpu_utilisation_mean =
        GPU_SUM_UP(facts, usage, host_cpu_utilisation, EVERY_RANK).mean;
    if (gpu_throttles(facts, usage, &reasons))
        throttle_text(&out->gpu_clocks_held_back_by, reasons);
    for (int rank = 0; rank < facts->ranks && gpus_measured(facts, usage); rank++) {
        add_number(&out->rank_gpu_utilisation, rank, 9,
                   gpu_value(usage, rank, offsetof(gpu_usage, utilisation)));
        add_number(&out->rank_gpu_energy_joules, rank, 9,
                   gpu_value(usage, rank, offsetof(gpu_usage, energy_joules)));
    }
}

/* Nothing where nobody is slow, or nothing was measured. */
static void derive_stragglers(run_derived *out, const rank_epoch *ranks, int count) {
    out->straggler_cost_seconds = ranks ? straggler_cost_seconds(ranks, count) : NAN;
    for (int rank = 0; ranks && rank < count; rank++) {
        if (!is_straggler(&ranks[rank].pace))
            continue;
        const char *before = out->straggler_ranks.length ? ";" : "";
        text_add(&out->straggler_ranks, "%s%d", before, rank);
        text_add(&out->straggler_excess, "%s%.9g", before, rank_excess(&ranks[rank].pace));
    }
}

void run_derive(run_derived *out, const run_facts *facts, const run_totals *totals) {
    *out = (run_derived){.format_version = SUMMARY_FORMAT_VERSION};
    list_ranks(out, facts);
    derive_times(out, facts, totals);
    derive_memory(out, facts);
    derive_usage(out, totals->rank_usage, facts->ranks);
    derive_gpus(out, facts, totals->rank_usage);
    derive_stragglers(out, totals->ranks, facts->ranks);
}

/* What each type of member owns. */
#define FREE_LIST(self, name) text_free(&(self)->name);
#define FREE_INT(self, name)
#define FREE_REAL(self, name)

void run_derived_free(run_derived *self) {
#define FACT(type, name, ...)
#define TOTAL(type, name, ...)
#define DERIVED(type, name, ...) FREE_##type(self, name)
#include "report/facts/facts.def"
#include "report/facts/totals.def"
#undef DERIVED
#undef TOTAL
#undef FACT
}
