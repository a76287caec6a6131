#include "report/run/run_text.h"

#include "report/facts/gpu_sums.h"
#include "report/run/gpu_text.h"
#include "report/run/header_line.h"
#include "report/text/number.h"
#include "report/text/table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

static const char *or_dash(const char *text) {
    return text[0] ? text : "-";
}

static void add_batch(text_buffer *out, const run_facts *facts) {
    if (facts->batch_per_rank > 0)
        text_add(out, "%-15s%" PRId64 " a rank, %" PRId64 " in all (global)", "batch",
                 facts->batch_per_rank, facts->global_batch);
    else
        text_add(out, "%-15s%" PRId64 " in all (global), %" PRId64 " or %" PRId64 " a rank",
                 "batch", facts->global_batch, facts->global_batch / facts->ranks,
                 facts->global_batch / facts->ranks + 1);
    if (facts->ranks > 1 && strcmp(facts->scaling, "weak") == 0)
        text_add(out, "; weak scaling: the batch grows with the ranks, an epoch has fewer steps");
    else if (facts->ranks > 1 && strcmp(facts->scaling, "strong") == 0)
        text_add(out, "; strong scaling: the global batch is fixed, each rank has a part of it");
    text_add(out, "\n");
}

/* What was measured of the network, and what was chosen by it. */
static void add_exchange(text_buffer *out, const run_facts *facts) {
    if (!facts->factor_comm[0])
        return;
    text_add(out, "%-15s%s, %d bucket%s", "gradients", facts->grad_comm, facts->buckets,
             plural(facts->buckets));
    if (facts->buckets > 0)
        text_add(out, " of at most %.3g MiB, the first %.3g MiB",
                 facts->largest_bucket_bytes / 1048576, facts->first_bucket_bytes / 1048576);
    text_add(out, " (%s", facts->bucket_choice);
    if (!isnan(facts->hop_latency_seconds))
        text_add(out, "; measured in %.2g s: %.3g us a hop", facts->exchange_seconds,
                 1e6 * facts->hop_latency_seconds);
    if (!isnan(facts->hop_latency_seconds) && isfinite(facts->hop_bytes_per_second))
        text_add(out, " and %.4g MB/s", facts->hop_bytes_per_second / 1e6);
    if (facts->update_shared)
        text_add(out, "; summed in the update, of which each rank does half");
    text_add(out, ")\n%-15s%s%s%s\n", "factors", facts->factor_comm,
             facts->factor_note[0] ? ": " : "", facts->factor_note);
}

static void add_node(table *ranks, int node) {
    if (node >= 0)
        table_cell(ranks, "%d", node);
    else
        table_cell(ranks, "-");
}

static void add_ranks(text_buffer *out, const run_facts *facts) {
    static const table_column on_cpus[] = {{"rank", false}, {"host", true},     {"device", true},
                                           {"NUMA", false}, {"threads", false}, {"cores", true}};
    static const table_column on_gpus[] = {
        {"rank", false},     {"host", true},  {"device", true},   {"UUID", true},
        {"its NUMA", false}, {"NUMA", false}, {"threads", false}, {"cores", true}};
    bool gpus = has_gpus(facts);
    table ranks = {.columns = gpus ? on_gpus : on_cpus,
                   .column_count = gpus ? sizeof on_gpus / sizeof on_gpus[0]
                                        : sizeof on_cpus / sizeof on_cpus[0]};
    for (int rank = 0; rank < facts->ranks && facts->rank_list; rank++) {
        const rank_facts *self = &facts->rank_list[rank];
        table_cell(&ranks, "%d", self->rank);
        table_cell(&ranks, "%s", or_dash(self->host));
        table_cell(&ranks, "%s", or_dash(self->device));
        if (gpus) {
            table_cell(&ranks, "%s", or_dash(uuid_tail(self->gpu_uuid)));
            add_node(&ranks, self->gpu_uuid[0] ? self->gpu_numa_node : -1);
        }
        add_node(&ranks, self->numa_node);
        table_cell(&ranks, "%d", self->threads);
        table_cell(&ranks, "%s", or_dash(self->cores));
    }
    table_print(&ranks, TABLE_TEXT, "", out);
    table_free(&ranks);
    add_far_ranks(out, facts);
}

const char *ablated_text(const run_facts *facts) {
    const char *ablate = facts->ablate ? facts->ablate : "";
    if (strcmp(ablate, "comm") == 0)
        return "comm: the training's collectives are left out; this is no training, only a time";
    if (strcmp(ablate, "data") == 0)
        return "data: one batch is every batch, nothing is loaded; this is no training, only a "
               "time";
    if (strcmp(ablate, "compute") == 0)
        return "compute: batches are loaded and nothing is done with them; this is no training, "
               "only the loader's rate";
    return "";
}

static void add_ablated(text_buffer *out, const run_facts *facts) {
    if (ablated_text(facts)[0])
        text_add(out, "%-15s%s\n", "ABLATED", ablated_text(facts));
}

static void add_others(text_buffer *out, const run_facts *facts);

/* The lines in their order: by the fact that leads one (facts.def has its text), or made here. */
static const struct {
    const char *fact;
    void (*add)(text_buffer *out, const run_facts *facts);
} lines[] = {
    {"command_line", NULL},
    {"started", NULL},
    {"launcher", NULL},
    {"slurm_job_id", NULL},
    {"libraries", NULL},
    {"environment", NULL},
    {"communication_environment", NULL},
    {"environment_taken_out", NULL},
    {"device", NULL},
    {NULL, add_drivers},
    {"communication", NULL},
    {NULL, add_exchange},
    {"lanes", NULL},
    {"graph", NULL},
    {"data_folder", NULL},
    {"dataset_id", NULL},
    {"augment", NULL},
    {"model", NULL},
    {"optimizer", NULL},
    {NULL, add_batch},
    {NULL, add_others},
    {"oversubscribed", NULL},
    {NULL, add_ablated},
    {"profile_steps", NULL},
};
enum { LINES = sizeof lines / sizeof lines[0] };

static bool is_listed(const char *name) {
    for (int index = 0; index < LINES; index++)
        if (lines[index].fact && strcmp(lines[index].fact, name) == 0)
            return true;
    return false;
}

/* Facts with a label that the list does not name, in the table's order. */
static void add_others(text_buffer *out, const run_facts *facts) {
    for (size_t index = 0; index < summary_columns.count; index++) {
        const column *fact = &summary_columns.columns[index];
        if (fact->label && !is_listed(fact->name))
            header_line_add(out, facts, fact);
    }
}

void header_text(text_buffer *out, const run_facts *facts) {
    text_add(out, "lockstep %s: %s, %d rank%s on %d node%s\n", facts->lockstep_version, facts->mode,
             facts->ranks, plural(facts->ranks), facts->nodes, plural(facts->nodes));
    for (int index = 0; index < LINES; index++)
        if (lines[index].add)
            lines[index].add(out, facts);
        else
            header_line_add(out, facts, column_find(&summary_columns, lines[index].fact));
    text_add(out, "\n");
    add_ranks(out, facts);
    text_add(out, "\n");
}
