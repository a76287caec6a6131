#include "report/summary.h"

#include "report/certificate_file.h"
#include "report/gpu_text.h"
#include "report/straggler.h"

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

double rate(int64_t amount, double seconds) {
    return seconds > 0 ? (double)amount / seconds : NAN;
}

double step_seconds(const run_facts *facts, const run_totals *totals) {
    double steps = (double)totals->images / (double)facts->global_batch;
    return steps > 0 ? totals->training_seconds / steps : NAN;
}

/* Of the double at `offset` of each rank's usage. */
static spread spread_of(const rank_usage *usage, int ranks, size_t offset) {
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
    return spread_of(usage, ranks, offsetof(rank_usage, peak_memory_bytes));
}

spread cpu_utilisation_spread(const rank_usage *usage, int ranks) {
    return spread_of(usage, ranks, offsetof(rank_usage, cpu_utilisation));
}

static void put_phases(csv_row *row, double seconds, const phase_seconds *phases) {
    csv_put_number(row, "data_seconds", phases->data);
    csv_put_number(row, "forward_seconds", phases->forward);
    csv_put_number(row, "backward_seconds", phases->backward);
    csv_put_number(row, "exposed_communication_seconds", phases->communication);
    csv_put_number(row, "optimizer_seconds", phases->optimizer);
    csv_put_number(row, "other_seconds", other_seconds(seconds, phases));
}

/* A positive count, or empty where it is 0: not known, or there is none. */
static void put_count(csv_row *row, const char *column, int64_t count) {
    if (count > 0)
        csv_put_integer(row, column, count);
    else
        csv_put_text(row, column, "");
}

/* Whole bytes: nine digits would not do. */
static void put_bytes(csv_row *row, const char *column, double bytes) {
    if (isnan(bytes))
        csv_put_text(row, column, "");
    else
        csv_put_integer(row, column, llround(bytes));
}

typedef enum {
    HOST,
    DEVICE,
    NUMA_NODE,
    CORES,
    THREADS,
    GPU_UUID,
    GPU_NUMA_NODE,
    DRIVER
} rank_field;

static void add_rank_field(text_buffer *list, const rank_facts *rank, rank_field field) {
    switch (field) {
    case HOST:
        text_add(list, "%s", rank->host);
        break;
    case DEVICE:
        text_add(list, "%s", rank->device);
        break;
    case NUMA_NODE:
        if (rank->numa_node >= 0)
            text_add(list, "%d", rank->numa_node);
        break;
    case CORES:
        text_add(list, "%s", rank->cores);
        break;
    case THREADS:
        text_add(list, "%d", rank->threads);
        break;
    case GPU_UUID:
        text_add(list, "%s", rank->gpu_uuid);
        break;
    case GPU_NUMA_NODE:
        if (rank->gpu_uuid[0] && rank->gpu_numa_node >= 0)
            text_add(list, "%d", rank->gpu_numa_node);
        break;
    case DRIVER:
        text_add(list, "%s", rank->driver);
        break;
    }
}

/* One value a rank, in rank order, with semicolons between; nothing about GPUs where none is. */
static void put_rank_list(csv_row *row, const char *column, const run_facts *facts,
                          rank_field field) {
    text_buffer list = {0};
    bool empty = field >= GPU_UUID && !has_gpus(facts);
    for (int rank = 0; !empty && rank < facts->ranks && facts->rank_list; rank++) {
        if (rank)
            text_add(&list, ";");
        add_rank_field(&list, &facts->rank_list[rank], field);
    }
    csv_put_text(row, column, list.bytes ? list.bytes : "");
    row->values.failed |= list.failed;
    text_free(&list);
}

static void put_origin(csv_row *row, const run_facts *facts) {
    csv_put_integer(row, "format_version", SUMMARY_FORMAT_VERSION);
    csv_put_text(row, "lockstep_version", facts->version);
    csv_put_text(row, "program_hash", facts->program_hash);
    csv_put_text(row, "command_line", facts->command_line);
    csv_put_text(row, "started", facts->started);
    csv_put_text(row, "launcher", facts->launcher);
    csv_put_text(row, "slurm_job_id", facts->slurm_job_id);
    csv_put_text(row, "libraries", facts->versions);
    csv_put_text(row, "environment", facts->environment);
    csv_put_text(row, "communication_environment", facts->communication_environment);
    csv_put_text(row, "environment_taken_out", facts->environment_taken_out);
}

static void put_place(csv_row *row, const run_facts *facts) {
    csv_put_integer(row, "ranks", facts->ranks);
    csv_put_integer(row, "nodes", facts->nodes);
    csv_put_text(row, "device", facts->device);
    csv_put_text(row, "device_library", facts->device_library);
    csv_put_text(row, "communication", facts->comm);
    csv_put_text(row, "communication_note", facts->comm_note);
    csv_put_text(row, "graph", facts->graph);
    csv_put_text(row, "graph_requested", !facts->graph[0] ? "" : facts->no_graph ? "0" : "1");
    csv_put_integer(row, "oversubscribed", facts->oversubscribed);
    put_rank_list(row, "rank_hosts", facts, HOST);
    put_rank_list(row, "rank_devices", facts, DEVICE);
    put_rank_list(row, "rank_numa_nodes", facts, NUMA_NODE);
    put_rank_list(row, "rank_cores", facts, CORES);
    put_rank_list(row, "rank_threads", facts, THREADS);
    put_rank_list(row, "rank_gpu_uuids", facts, GPU_UUID);
    put_rank_list(row, "rank_gpu_numa_nodes", facts, GPU_NUMA_NODE);
    put_rank_list(row, "rank_gpu_drivers", facts, DRIVER);
}

/* Buckets and factors change no more than the order of sums; the type of gradients changes what is
 * computed (comparable.c). */
static void put_exchange(csv_row *row, const run_facts *facts) {
    bool any = facts->factor_comm[0] != '\0';
    csv_put_text(row, "grad_comm", facts->grad_comm);
    csv_put_integer(row, "strict", facts->lanes > 0);
    put_count(row, "lanes", facts->lanes);
    csv_put_text(row, "factor_comm", facts->factor_comm);
    csv_put_text(row, "factor_layers", facts->factor_layers);
    csv_put_text(row, "bucket_choice", !any ? "" : facts->buckets_chosen ? "auto" : "given");
    csv_put_text(row, "update_shared", !any ? "" : facts->update_shared ? "1" : "0");
    put_count(row, "buckets", facts->buckets);
    put_bytes(row, "largest_bucket_bytes", any ? facts->largest_bucket_bytes : NAN);
    put_bytes(row, "first_bucket_bytes", any ? facts->first_bucket_bytes : NAN);
    csv_put_number(row, "hop_latency_seconds", any ? facts->hop_latency_seconds : NAN);
    bool finite = any && isfinite(facts->hop_bytes_per_second); /* infinite: too fast to measure */
    csv_put_number(row, "hop_bytes_per_second", finite ? facts->hop_bytes_per_second : NAN);
}

/* Empty where the run wrote none. */
static void put_certificate(csv_row *row, const run_facts *facts) {
    if (facts->certified) {
        csv_put_integer(row, "certificate_version", CERTIFICATE_VERSION);
        csv_put_integer(row, "certificate_every", facts->certificate_every);
    } else {
        csv_put_text(row, "certificate_version", "");
        csv_put_text(row, "certificate_every", "");
    }
}

static void put_work(csv_row *row, const run_facts *facts) {
    csv_put_text(row, "mode", facts->mode);
    csv_put_text(row, "model", facts->model);
    csv_put_integer(row, "parameters", facts->parameters);
    csv_put_text(row, "precision", facts->precision);
    csv_put_text(row, "data_folder", facts->data_folder);
    csv_put_text(row, "dataset_id", facts->dataset_id);
    csv_put_integer(row, "train_images_per_epoch", facts->train_images);
    csv_put_integer(row, "test_images", facts->test_images);
    put_count(row, "batch_per_rank", facts->batch_per_rank);
    csv_put_integer(row, "global_batch", facts->global_batch);
    csv_put_text(row, "scaling", facts->scaling);
    csv_put_integer(row, "epochs", facts->epochs);
    csv_put_integer(row, "seed", facts->seed);
    csv_put_text(row, "augment", facts->augment);
    csv_put_text(row, "warmup_rule", facts->warmup_rule);
    csv_put_text(row, "optimizer", facts->optimizer);
    csv_put_number(row, "learning_rate", facts->learning_rate);
    csv_put_number(row, "momentum", facts->momentum);
    csv_put_number(row, "weight_decay", facts->weight_decay);
    csv_put_text(row, "ablate", facts->ablate[0] ? facts->ablate : "none");
    put_count(row, "profile_steps", facts->profile_steps);
    put_certificate(row, facts);
}

/* Empty where losses are not scaled. */
static void put_loss_scale(csv_row *row, const char *column, int64_t skipped, double scale) {
    if (scale > 0)
        csv_put_integer(row, "skipped_updates", skipped);
    else
        csv_put_text(row, "skipped_updates", "");
    csv_put_number(row, column, scale > 0 ? scale : NAN);
}

static void put_times(csv_row *row, const run_facts *facts, const run_totals *totals) {
    csv_put_integer(row, "images", totals->images);
    csv_put_integer(row, "steps", totals->steps);
    csv_put_number(row, "training_seconds", totals->training_seconds);
    csv_put_number(row, "images_per_second", rate(totals->images, totals->training_seconds));
    csv_put_number(row, "step_seconds", step_seconds(facts, totals));
    csv_put_number(row, "step_floor_seconds", totals->step_floor.seconds);
    put_phases(row, totals->training_seconds, &totals->phases);
    csv_put_number(row, "waiting_seconds", totals->ranks ? totals->phases.waiting : NAN);
    csv_put_number(row, "suspended_seconds", totals->suspended_seconds);
    csv_put_number(row, "suspended_total_seconds", totals->suspended_total_seconds);
    csv_put_number(row, "setup_seconds", totals->setup_seconds);
    csv_put_number(row, "warmup_seconds", totals->warmup_seconds);
    csv_put_number(row, "evaluation_seconds", totals->evaluation_seconds);
    csv_put_number(row, "total_seconds", totals->total_seconds);
    csv_put_number(row, "start_to_first_step_seconds", totals->start_to_first_step_seconds);
    csv_put_number(row, "start_cpu_seconds", totals->start_cpu_seconds);
}

static void put_outcome(csv_row *row, const run_totals *totals) {
    csv_put_number(row, "final_train_loss", totals->final_train_loss);
    csv_put_number(row, "final_test_loss", totals->final_test_loss);
    csv_put_number(row, "final_test_accuracy", totals->final_test_accuracy);
    csv_put_number(row, "best_test_accuracy", totals->best_test_accuracy);
    put_count(row, "best_epoch", totals->best_epoch);
    put_loss_scale(row, "final_loss_scale", totals->skipped_updates, totals->loss_scale);
    put_count(row, "sampled_steps", totals->sampled_steps);
    csv_put_number(row, "strict_cost", totals->strict_cost);
    csv_put_text(row, "plan_id", totals->plan_id);
    csv_put_text(row, "parameters_hash", totals->parameters_hash);
    csv_put_text(row, "certificate_hash", totals->certificate_hash);
}

static void put_usage_list(csv_row *row, const char *column, const rank_usage *usage, int ranks,
                           size_t offset, int digits) {
    text_buffer list = {0};
    for (int rank = 0; rank < ranks && usage; rank++) {
        double value;
        memcpy(&value, (const char *)&usage[rank] + offset, sizeof value);
        text_add(&list, "%s", rank ? ";" : "");
        if (!isnan(value))
            text_add(&list, "%.*g", digits, value);
    }
    csv_put_text(row, column, list.bytes ? list.bytes : "");
    row->values.failed |= list.failed;
    text_free(&list);
}

static void put_usage(csv_row *row, const rank_usage *usage, int ranks) {
    spread memory = peak_memory_spread(usage, ranks), busy = cpu_utilisation_spread(usage, ranks);
    put_bytes(row, "peak_memory_maximum_bytes", memory.maximum);
    put_bytes(row, "peak_memory_mean_bytes", memory.mean);
    put_usage_list(row, "rank_peak_memory_bytes", usage, ranks,
                   offsetof(rank_usage, peak_memory_bytes), 17);
    csv_put_number(row, "cpu_utilisation_minimum", busy.minimum);
    csv_put_number(row, "cpu_utilisation_mean", busy.mean);
    csv_put_number(row, "cpu_utilisation_maximum", busy.maximum);
    put_usage_list(row, "rank_cpu_utilisation", usage, ranks, offsetof(rank_usage, cpu_utilisation),
                   9);
}

void summary_row(csv_row *row, const run_facts *facts, const run_totals *totals) {
    put_origin(row, facts);
    put_place(row, facts);
    put_exchange(row, facts);
    put_work(row, facts);
    put_times(row, facts, totals);
    put_outcome(row, totals);
    put_usage(row, totals->rank_usage, facts->ranks);
    put_gpu_usage(row, facts, totals->rank_usage);
    put_stragglers(row, totals->ranks, facts->ranks);
}

void epoch_row(csv_row *row, const epoch_record *epoch) {
    csv_put_integer(row, "format_version", SUMMARY_FORMAT_VERSION);
    csv_put_integer(row, "epoch", epoch->epoch);
    csv_put_number(row, "train_loss", epoch->train_loss);
    csv_put_number(row, "train_accuracy", epoch->train_accuracy);
    csv_put_number(row, "test_loss", epoch->test_loss);
    csv_put_number(row, "test_accuracy", epoch->test_accuracy);
    csv_put_integer(row, "best", epoch->best);
    csv_put_integer(row, "images", epoch->images);
    csv_put_integer(row, "steps", epoch->steps);
    csv_put_number(row, "training_seconds", epoch->seconds);
    csv_put_number(row, "images_per_second", rate(epoch->images, epoch->seconds));
    put_phases(row, epoch->seconds, &epoch->phases);
    csv_put_number(row, "waiting_seconds", epoch->phases.waiting);
    csv_put_number(row, "evaluation_seconds", epoch->evaluation_seconds);
    put_loss_scale(row, "loss_scale", epoch->skipped_updates, epoch->loss_scale);
    csv_put_number(row, "cpu_utilisation_mean", epoch->cpu_utilisation);
    put_bytes(row, "peak_memory_maximum_bytes", epoch->peak_memory_bytes);
    csv_put_number(row, "gpu_utilisation_mean", epoch->gpu_utilisation);
    put_bytes(row, "gpu_peak_memory_maximum_bytes", epoch->gpu_peak_memory_bytes);
    csv_put_number(row, "suspended_seconds", epoch->suspended_seconds);
}
