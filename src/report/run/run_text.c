#include "report/run/run_text.h"

#include "report/facts/files.h"
#include "report/facts/quantities.h"
#include "report/run/gpu_text.h"
#include "report/run/straggler.h"
#include "report/text/duration.h"
#include "report/text/number.h"
#include "report/text/table.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

/* The widths of the titles and of the lines below them: an epoch's line is printed when it is
 * known, so that the columns cannot be fitted to what comes later. */
void epoch_titles_text(text_buffer *out) {
    text_add(out, "%5s  %10s  %9s  %9s  %9s  %9s  %9s  %6s  %7s  %8s  %7s  %9s  %6s\n", "epoch",
             "train loss", "train acc", "test loss", "test acc", "images/s", "seconds", "data",
             "forward", "backward", "comm", "optimizer", "other");
}

static number_text share_of_time(double part, double whole) {
    return percent(whole > 0 ? part / whole : NAN, 1);
}

/* "3 updates skipped, loss scale 65536" */
static void add_loss_scale(text_buffer *out, const char *before, int64_t skipped, double scale) {
    text_add(out, "%s%" PRId64 " update%s skipped, loss scale %s", before, skipped,
             skipped == 1 ? "" : "s", number(scale, 0).text);
}

void epoch_text(text_buffer *out, const epoch_record *epoch) {
    double seconds = epoch->seconds;
    const phase_seconds *phases = &epoch->phases;
    text_add(out, "%5d  %10s  %9s  %9s  %9s%s", epoch->epoch, number(epoch->train_loss, 4).text,
             percent(epoch->train_accuracy, 2).text, number(epoch->test_loss, 4).text,
             percent(epoch->test_accuracy, 2).text, epoch->best ? "*" : " ");
    text_add(out, " %9s  %9s  %6s  %7s  %8s  %7s  %9s  %6s",
             number(rate(epoch->images, seconds), 1).text, number(seconds, 2).text,
             share_of_time(phases->data, seconds).text,
             share_of_time(phases->forward, seconds).text,
             share_of_time(phases->backward, seconds).text,
             share_of_time(phases->communication, seconds).text,
             share_of_time(phases->optimizer, seconds).text,
             share_of_time(other_seconds(seconds, phases), seconds).text);
    if (epoch->loss_scale > 0)
        add_loss_scale(out, "  ", epoch->skipped_updates, epoch->loss_scale);
    if (epoch->suspended_seconds > 0)
        text_add(out, "  SUSPENDED for %s s", number(epoch->suspended_seconds, 1).text);
    text_add(out, "\n");
}

/* --ablate compute */
static bool only_loads(const run_facts *facts) {
    return facts->ablate && strcmp(facts->ablate, "compute") == 0;
}

static void add_time(table *times, const char *name, double seconds, const char *meaning) {
    table_cell(times, "%s", name);
    table_cell(times, "%s", duration(seconds).text);
    table_cell(times, "%s", number(seconds, 3).text);
    table_cell(times, "%s", meaning);
}

static void add_times(text_buffer *out, const run_totals *totals) {
    static const table_column columns[] = {
        {"time", true}, {"", false}, {"seconds", false}, {"what it holds", true}};
    table times = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    add_time(&times, "training", totals->training_seconds,
             "the first real step to the last, loader included");
    add_time(&times, "warm-up", totals->warmup_seconds,
             "steps on scratch state, before the first real one");
    add_time(&times, "evaluation", totals->evaluation_seconds, "test images, after epochs");
    add_time(&times, "set-up", totals->setup_seconds, "data set opened, model built");
    add_time(&times, "total", totals->total_seconds, "process start to here, on rank 0");
    add_time(&times, "to first step", totals->start_to_first_step_seconds,
             "process start to the first real step, warm-up included");
    table_print(&times, TABLE_TEXT, "", out);
    table_free(&times);
}

/* The measure of a step where a profile's steps are none: on a GPU these are launched one call at a
 * time, with events around each. */
static void add_step(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    const step_rates *lowest = &totals->step_floor;
    double seconds = step_seconds(facts, totals);
    int64_t eager = totals->sampled_steps + facts->profile_steps;
    if (!facts->graph[0] || only_loads(facts)) /* no GPU: the phases are of every step */
        return;
    text_add(out, "a step of %" PRId64 " images took %s us by the epochs' clock",
             facts->global_batch, number(seconds * 1e6, 1).text);
    if (eager > 0 && strcmp(facts->graph, "yes") == 0)
        text_add(out, " (%" PRId64 " of %" PRId64 " were launched one call at a time)", eager,
                 totals->steps);
    if (isnan(lowest->seconds))
        text_add(out, "; its floor was not measured\n");
    else
        text_add(out,
                 ", %s times its floor of %s us: of each layer and phase the larger of FLOP at %s "
                 "GFLOP/s and bytes at %s GB/s, both measured here\n",
                 number(seconds / lowest->seconds, 2).text, number(lowest->seconds * 1e6, 1).text,
                 number(lowest->flop_per_second / 1e9, 1).text,
                 number(lowest->bytes_per_second / 1e9, 2).text);
}

static void add_phase(table *phases, const char *name, double seconds, double whole) {
    table_cell(phases, "%s", name);
    table_cell(phases, "%s", number(seconds, 3).text);
    table_cell(phases, "%s", share_of_time(seconds, whole).text);
}

static void add_phases(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    static const table_column columns[] = {
        {"phase of training", true}, {"seconds", false}, {"share", false}};
    table phases = {.columns = columns, .column_count = sizeof columns / sizeof columns[0]};
    double whole = totals->training_seconds;
    add_phase(&phases, "data", totals->phases.data, whole);
    add_phase(&phases, "forward", totals->phases.forward, whole);
    add_phase(&phases, "backward", totals->phases.backward, whole);
    add_phase(&phases, "exposed communication", totals->phases.communication, whole);
    if (totals->ranks && facts->ranks > 1)
        add_phase(&phases, "  waiting for the slowest rank", totals->phases.waiting, whole);
    add_phase(&phases, "optimizer", totals->phases.optimizer, whole);
    add_phase(&phases, "other", other_seconds(whole, &totals->phases), whole);
    table_print(&phases, TABLE_TEXT, "", out);
    table_free(&phases);
    if (totals->sampled_steps > 0)
        text_add(out, "phases as in %" PRId64 " sampled step%s, timed without a graph\n",
                 totals->sampled_steps, totals->sampled_steps == 1 ? "" : "s");
}

static void add_usage(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    static const table_column columns[] = {{"rank", false},        {"host", true},
                                           {"peak memory", false}, {"CPU utilisation", false},
                                           {"busy", false},        {"waiting", false}};
    const rank_usage *usage = totals->rank_usage;
    const rank_epoch *measured = facts->ranks > 1 ? totals->ranks : NULL;
    table ranks = {.columns = columns,
                   .column_count = sizeof columns / sizeof columns[0] - (measured ? 0 : 2)};
    for (int rank = 0; rank < facts->ranks && usage; rank++) {
        number_text memory = number(usage[rank].peak_memory_bytes / 1e6, 1);
        table_cell(&ranks, "%d", rank);
        table_cell(&ranks, "%s", facts->rank_list ? facts->rank_list[rank].host : "-");
        table_cell(&ranks, "%s%s", memory.text, memory.text[0] == '-' ? "" : " MB");
        table_cell(&ranks, "%s", percent(usage[rank].cpu_utilisation, 1).text);
        if (!measured)
            continue;
        table_cell(
            &ranks, "%s",
            share_of_time(busy_seconds(&measured[rank].phases), measured[rank].seconds).text);
        table_cell(&ranks, "%s",
                   share_of_time(measured[rank].phases.waiting, measured[rank].seconds).text);
    }
    table_print(&ranks, TABLE_TEXT, "", out);
    table_free(&ranks);
    if (measured && facts->rank_list)
        straggler_text(out, "", facts->rank_list, measured, facts->ranks, totals->training_seconds);
}

static void add_attempts(text_buffer *out, const run_totals *totals) {
    if (totals->attempts > 1)
        text_add(
            out,
            "attempt %d at this run: it went on from a checkpoint, and the training time is of "
            "all attempts\n",
            totals->attempts);
    if (totals->attempts > 1 || totals->checkpoints > 0 || totals->lost_steps > 0)
        text_add(out,
                 "goodput %s: training and evaluation that count, over the %s s of all attempts; "
                 "%" PRId64 " step%s (%s s) of them were done again (" ATTEMPTS_FILE ")\n",
                 percent(totals->goodput, 1).text, number(totals->attempts_total_seconds, 1).text,
                 totals->lost_steps, totals->lost_steps == 1 ? "" : "s",
                 number(totals->lost_seconds, 1).text);
    if (totals->checkpoints > 0)
        text_add(out,
                 "%" PRId64 " checkpoint%s, %s MB: training stood still for %s s, and %s s of "
                 "writing went on beside it\n",
                 totals->checkpoints, totals->checkpoints == 1 ? "" : "s",
                 number(totals->checkpoint_bytes / 1e6, 1).text,
                 number(totals->checkpoint_blocked_seconds, 3).text,
                 number(totals->checkpoint_write_seconds, 3).text);
    if (totals->uploads + totals->uploads_failed > 0)
        text_add(out, "%" PRId64 " of %" PRId64 " checkpoints that were to go to S3 are there\n",
                 totals->uploads, totals->uploads + totals->uploads_failed);
}

/* How busy the device was, and how long it had to wait for data. */
static void add_busy(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    double busy = device_busy(facts, totals), waited = totals->loader_wait_share;
    if (only_loads(facts) || isnan(busy))
        return;
    text_add(out, "device busy for %s of the training time", percent(busy, 1).text);
    if (!isnan(waited))
        text_add(out, ", steps waited for data for %s", percent(waited, 1).text);
    text_add(out, "\n");
}

/* What mends a loader that delivers `alone` images a second where steps would take `wanted`:
 * decoding takes about as long as an image has pixels. */
static void add_advice(text_buffer *out, const run_facts *facts, int threads, double alone,
                       double wanted) {
    double side = facts->longer_side * sqrt(alone / wanted);
    if (alone < wanted)
        text_add(out, "--loader-threads %d, where a rank has so many processors%s",
                 (int)ceil(threads * wanted / alone), facts->ranks > 1 ? " to itself" : "");
    else
        text_add(out, "a processor of its own for each thread");
    text_add(out, ", --decode fast, or smaller images (pack images --encoded --max-side");
    if (alone < wanted && side >= 1)
        text_add(out, " %d, where their longer side is %d now", (int)side, facts->longer_side);
    text_add(out, ")\n");
}

/* How far the loader would have come, and what mends it where training waited for it. */
static void add_loader(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    const double least_share = 0.05;
    double alone = totals->loader_images_per_second, waited = totals->loader_wait_share;
    int threads = totals->loader_threads;
    if (threads < 1 || !(alone > 0))
        return;
    text_add(out, "loader: %d thread%s a rank%s would deliver %s images/s if %s never waited\n",
             threads, threads == 1 ? "" : "s", facts->loader_search ? ", as the search found," : "",
             number(alone, 1).text, threads == 1 ? "it" : "they");
    if (only_loads(facts) || !(waited > least_share) || !(waited < 1))
        return;
    double wanted = rate(totals->images, totals->training_seconds) / (1 - waited);
    text_add(out,
             "without waiting for data training would take %s images/s: ", number(wanted, 1).text);
    add_advice(out, facts, threads, alone, wanted);
}

/* What was trained on, and what came of it. */
static void add_done(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    number_text speed = number(rate(totals->images, totals->training_seconds), 1);
    if (only_loads(facts)) {
        text_add(out,
                 "loaded %" PRId64 " images in %" PRId64
                 " batches: the loader alone delivers %s images/s\n",
                 totals->images, totals->steps, speed.text);
        return;
    }
    text_add(out, "trained on %" PRId64 " images in %" PRId64 " steps, %s images/s\n",
             totals->images, totals->steps, speed.text);
    text_add(out, "test accuracy %s (top-5 %s) at the end",
             percent(totals->final_test_accuracy, 2).text,
             percent(totals->final_test_top5_accuracy, 2).text);
    if (totals->best_epoch > 0)
        text_add(out, ", best %s after epoch %d (*)", percent(totals->best_test_accuracy, 2).text,
                 totals->best_epoch);
    text_add(out, "\n");
    if (totals->final_loss_scale > 0) {
        add_loss_scale(out, "", totals->skipped_updates, totals->final_loss_scale);
        text_add(out, " at the end\n");
    }
}

/* The fullest rank's plan over what was measured. */
static void add_memory(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    double planned = 0, measured = most_held_bytes(totals->rank_usage, facts->ranks);
    for (int rank = 0; rank < facts->ranks && facts->rank_list; rank++)
        planned = fmax(planned, facts->rank_list[rank].memory.planned);
    if (!(planned > 0) || isnan(measured))
        return;
    bool shares = facts->ranks > 1 && strcmp(facts->device, "cuda") != 0;
    text_add(out, "memory: %s MB planned, %s MB at the most (%s of the plan%s)\n",
             number(planned / 1e6, 1).text, number(measured / 1e6, 1).text,
             percent(measured / planned, 1).text,
             shares ? ", with what was read of other ranks' memory" : "");
}

/* Whether sharding paid: nobody shards for nothing. */
static void add_verdict(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    double ddp = totals->ddp_step_seconds, memory = totals->ddp_memory_bytes;
    double own = totals->training_seconds / (double)totals->images * (double)facts->global_batch;
    bool fits = memory <= totals->ddp_room_bytes;
    if (!(memory > 0))
        return;
    text_add(out, "ddp in place of %s (a forecast): %s MB a rank, which would %s %s MB",
             facts->mode, number(memory / 1e6, 1).text, fits ? "fit into" : "not fit into",
             number(totals->ddp_room_bytes / 1e6, 1).text);
    if (fits && ddp > 0)
        text_add(out, "; a step %s ms, here %s ms: %s", number(1e3 * ddp, 3).text,
                 number(1e3 * own, 3).text,
                 ddp < own ? "it would be faster" : "it would not be faster");
    text_add(out, "\n");
}

static void add_outcome(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    if (ablated_text(facts)[0])
        text_add(out, "ABLATED %s\n", ablated_text(facts));
    if (totals->suspended_total_seconds > 0)
        text_add(out,
                 "SUSPENDED for %s s, %s s of it in the training: the processes did not run (a job "
                 "that was suspended or stopped, a machine that slept)%s\n",
                 number(totals->suspended_total_seconds, 1).text,
                 number(totals->suspended_seconds, 1).text,
                 totals->suspended_seconds > 0 ? "; these times are no measure of training" : "");
    add_done(out, facts, totals);
    add_busy(out, facts, totals);
    add_loader(out, facts, totals);
    add_attempts(out, totals);
    if (totals->plan_id[0])
        text_add(out, "plan %s\n", totals->plan_id);
}

static void add_energy_of(text_buffer *out, const char *before, double joules,
                          const run_totals *totals) {
    if (!isnan(joules))
        text_add(out, "%s %s J (%s J an image)", before, number(joules, 1).text,
                 number(per_image(joules, totals), 4).text);
}

static void add_energy(text_buffer *out, const run_totals *totals) {
    double gpu = totals->gpu_energy_joules, cpu = totals->cpu_energy_joules;
    if (isnan(gpu) && isnan(cpu))
        return;
    text_add(out, "energy in training time:");
    add_energy_of(out, " GPUs", gpu, totals);
    add_energy_of(out, isnan(gpu) ? " CPU packages" : ", CPU packages", cpu, totals);
    text_add(out, "\n");
}

void closing_text(text_buffer *out, const run_facts *facts, const run_totals *totals) {
    text_add(out, "\n");
    if (ablated_text(facts)[0])
        text_add(out, "ABLATED %s\n\n", ablated_text(facts));
    add_times(out, totals);
    text_add(out, "\n");
    add_phases(out, facts, totals);
    add_step(out, facts, totals);
    text_add(out, "\n");
    add_usage(out, facts, totals);
    add_memory(out, facts, totals);
    add_verdict(out, facts, totals);
    add_gpu_usage(out, facts, totals->rank_usage);
    add_energy(out, totals);
    text_add(out, "\n");
    add_outcome(out, facts, totals);
}
