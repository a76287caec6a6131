#include "report/run_text.h"

#include "report/gpu_text.h"
#include "report/table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* What would be printed as "-0.0" is 0. */
static double no_minus(double value, int decimals) {
    return fabs(value) < 0.5 * pow(10, -decimals) ? 0 : value;
}

number_text number(double value, int decimals) {
    number_text out = {"-"};
    if (!isnan(value))
        format_plain(out.text, sizeof out.text, "%.*f", decimals, no_minus(value, decimals));
    return out;
}

number_text percent(double fraction, int decimals) {
    number_text out = {"-"};
    if (!isnan(fraction))
        format_plain(out.text, sizeof out.text, "%.*f%%", decimals,
                     no_minus(100 * fraction, decimals));
    return out;
}

static const char *plural(int64_t count) {
    return count == 1 ? "" : "s";
}

static const char *or_dash(const char *text) {
    return text[0] ? text : "-";
}

/* A line "label   value", left out where there is no value. */
static void line(text_buffer *out, const char *label, const char *value) {
    if (value[0])
        text_add(out, "%-15s%s\n", label, value);
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

static void add_optimizer(text_buffer *out, const run_facts *facts) {
    text_add(out, "%-15s%s, learning rate %g", "optimizer", facts->optimizer, facts->learning_rate);
    if (!isnan(facts->momentum))
        text_add(out, ", momentum %g", facts->momentum);
    if (!isnan(facts->weight_decay))
        text_add(out, ", weight decay %g", facts->weight_decay);
    text_add(out, "; %d epoch%s, seed %" PRId64 "\n", facts->epochs, plural(facts->epochs),
             facts->seed);
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
    text_add(out, " (%s", facts->buckets_chosen ? "auto" : "given");
    if (!isnan(facts->hop_latency_seconds))
        text_add(out, "; measured in %.2g s: %.3g us and %.4g MB/s a hop", facts->exchange_seconds,
                 1e6 * facts->hop_latency_seconds, facts->hop_bytes_per_second / 1e6);
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
    if (strcmp(facts->ablate, "comm") == 0)
        return "comm: the training's collectives are left out; this is no training, only a time";
    if (strcmp(facts->ablate, "data") == 0)
        return "data: one batch is every batch, nothing is loaded; this is no training, only a "
               "time";
    return "";
}

/* They are set for other programs, mostly: a line says that they do nothing here. */
static void add_taken_out(text_buffer *out, const run_facts *facts) {
    if (facts->environment_taken_out[0])
        text_add(out, "%-15s%s (no effect: lockstep decides that)\n", "taken out",
                 facts->environment_taken_out);
}

void header_text(text_buffer *out, const run_facts *facts) {
    text_add(out, "lockstep %s: %s, %d rank%s on %d node%s\n", facts->version, facts->mode,
             facts->ranks, plural(facts->ranks), facts->nodes, plural(facts->nodes));
    line(out, "command", facts->command_line);
    line(out, "started", facts->started);
    line(out, "launcher", facts->launcher);
    line(out, "Slurm job", facts->slurm_job_id);
    line(out, "libraries", facts->versions);
    line(out, "environment", facts->environment);
    line(out, "  of messages", facts->communication_environment);
    add_taken_out(out, facts);
    text_add(out, "%-15s%s%s%s%s\n", "device", facts->device, facts->device_library[0] ? " (" : "",
             facts->device_library, facts->device_library[0] ? ")" : "");
    add_drivers(out, facts);
    text_add(out, "%-15s%s%s%s%s\n", "communication", facts->comm, facts->comm_note[0] ? " (" : "",
             facts->comm_note, facts->comm_note[0] ? ")" : "");
    add_exchange(out, facts);
    if (facts->lanes)
        text_add(out,
                 "%-15s%d lane%s a batch: the same parameters on any number of ranks and threads\n",
                 "strict", facts->lanes, plural(facts->lanes));
    line(out, "CUDA graph", facts->graph);
    text_add(out, "%-15s%s: %" PRId64 " training and %" PRId64 " test images\n", "data",
             facts->data_folder, facts->train_images, facts->test_images);
    line(out, "data set id", facts->dataset_id);
    line(out, "augmentation", strcmp(facts->augment, "none") == 0 ? "" : facts->augment);
    text_add(out, "%-15s%s, %" PRId64 " parameters, %s\n", "model", facts->model, facts->parameters,
             facts->precision);
    add_optimizer(out, facts);
    add_batch(out, facts);
    if (facts->oversubscribed)
        line(out, "oversubscribed", "ranks may share cores: these times are no measure of scaling");
    line(out, "ABLATED", ablated_text(facts));
    if (facts->profile_steps > 0)
        text_add(out, "%-15s%d step%s of epoch 1, into layers.csv and trace.json\n", "profile",
                 facts->profile_steps, plural(facts->profile_steps));
    text_add(out, "\n");
    add_ranks(out, facts);
    text_add(out, "\n");
}
