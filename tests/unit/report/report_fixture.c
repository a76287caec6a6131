#include "report_fixture.h"

#include "report/compare/speedup.h"
#include "report/read/run_list.h"

#include <fcntl.h>
#include <ftw.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *fixture_stdout = "stdout.txt";

static char folder[] = "/tmp/lockstep-test-XXXXXX";

void fixture_enter_folder(void) {
    if (!mkdtemp(folder) || chdir(folder) != 0) {
        perror("a temporary folder");
        exit(1);
    }
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *walk) {
    (void)status, (void)kind, (void)walk;
    return remove(path);
}

void fixture_leave_folder(void) {
    if (chdir("/") == 0)
        nftw(folder, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void make_ranks(fixture *self, int ranks) {
    for (int rank = 0; rank < ranks; rank++) {
        rank_facts *facts = &self->ranks[rank];
        *facts = (rank_facts){
            .rank = rank, .device = "a CPU", .numa_node = rank - 1, .cores = "0-1", .threads = 2};
        snprintf(facts->host, sizeof facts->host, "node%d", rank + 1);
        self->usage[rank] = (rank_usage){.peak_memory_bytes = 400e6 + 50e6 * rank,
                                         .cpu_utilisation = 0.75 + 0.125 * rank};
    }
}

static void make_epochs(fixture *self, double seconds) {
    for (int index = 0; index < 3; index++)
        self->epochs[index] = (epoch_record){
            .epoch = index + 1,
            .train_loss = 1.0 / (index + 1),
            .train_accuracy = 0.5 + 0.125 * index,
            .test_loss = 1.25 / (index + 1),
            .test_accuracy = index == 1 ? 0.75 : 0.5,
            .test_top5_accuracy = 0.875,
            .seconds = seconds / 3,
            .evaluation_seconds = 0.5,
            .images = 1000,
            .steps = self->totals.steps / 3,
            .phases = {seconds / 48, seconds / 12, seconds / 6, seconds / 24, seconds / 96, 0},
            .best = index < 2,
            .gradient_norm = NAN,
            .cpu_utilisation = 0.75,
            .peak_memory_bytes = 4e8,
            .gpu_utilisation = NAN,
            .gpu_peak_memory_bytes = NAN,
            .gpu_energy_joules = NAN,
            .cpu_energy_joules = NAN,
        };
}

void fixture_make(fixture *self, const char *mode, int ranks, int batch_per_rank, double seconds) {
    int global_batch = batch_per_rank * ranks;
    int64_t steps = 3 * ((1000 + global_batch - 1) / global_batch);
    *self = (fixture){
        .facts = {.lockstep_version = "0.0.0-test",
                  .program_hash = "fedcba9876543210",
                  .command_line = "lockstep train --data \"a, b\"",
                  .started = "2020-02-02T20:02:20+00:00",
                  .launcher = "srun",
                  .slurm_job_id = "17",
                  .ranks = ranks,
                  .mode = mode,
                  .graph_requested = true,
                  .nodes = ranks,
                  .model = "cnn",
                  .device = "cpu",
                  .device_library = "a library 1.2",
                  .precision = "fp32",
                  .communication = "mpi",
                  .grad_comm = "fp32",
                  .data_folder = "data/test",
                  .dataset_id = "0123456789abcdef",
                  .train_images_per_epoch = 1000,
                  .test_images = 200,
                  .parameters = 4275594,
                  .batch_per_rank = batch_per_rank,
                  .global_batch = global_batch,
                  .epochs = 3,
                  .seed = 7,
                  .augment = "none",
                  .warmup_rule = "2 steps of each batch size",
                  .optimizer = "adam",
                  .learning_rate = 1e-3,
                  .momentum = NAN,
                  .weight_decay = 0,
                  .libraries = "Open MPI 4, HDF5 1",
                  .scaling = "weak"},
        .totals = {.training_seconds = seconds,
                   .setup_seconds = 0.25,
                   .warmup_seconds = 0.125,
                   .evaluation_seconds = 1.5,
                   .total_seconds = seconds + 2,
                   .start_to_first_step_seconds = NAN,
                   .start_cpu_seconds = 0.375,
                   .images = 3000,
                   .steps = steps,
                   .phases = {seconds / 16, seconds / 4, seconds / 2, seconds / 8, seconds / 32, 0},
                   .final_train_loss = 1.0 / 3,
                   .final_test_loss = 1.25 / 3,
                   .final_test_accuracy = 0.5,
                   .final_test_top5_accuracy = 0.875,
                   .best_test_accuracy = 0.75,
                   .best_epoch = 2,
                   .step_floor = {NAN, NAN, NAN},
                   .gpu_energy_joules = NAN,
                   .cpu_energy_joules = NAN,
                   .plan_id = "plan",
                   .parameters_hash = "0123456789abcdef"},
    };
    make_ranks(self, ranks);
    make_epochs(self, seconds);
}

void fixture_on_gpus(fixture *self) {
    self->facts.device = "cuda";
    self->facts.graph = "yes";
    for (int rank = 0; rank < self->facts.ranks; rank++) {
        rank_facts *facts = &self->ranks[rank];
        snprintf(facts->device, sizeof facts->device, "a GPU");
        snprintf(facts->gpu_uuid, sizeof facts->gpu_uuid,
                 "GPU-00000000-0000-0000-0000-00000000abc%d", rank % 10);
        snprintf(facts->driver, sizeof facts->driver, "580.1");
        facts->gpu_numa_node = 0;
        facts->numa_node = rank;
        self->usage[rank].gpu = (gpu_usage){.measured = true,
                                            .utilisation = 0.5 + 0.25 * rank,
                                            .peak_memory_bytes = 1e9 + rank,
                                            .energy_joules = 1000 + 500 * rank,
                                            .mean_power_watts = 100 + 50 * rank,
                                            .maximum_temperature_celsius = 40 + rank,
                                            .host_cpu_utilisation = 0.25,
                                            .throttle_known = rank == 0,
                                            .throttle_reasons = 0x44};
    }
}

static int write_run(fixture *self, const char *path, run **opened, ls_error *error) {
    self->facts.rank_list = self->ranks;
    self->totals.rank_usage = self->usage;
    LS_TRY(run_open(path, &self->facts, NULL, opened, error));
    LS_TRY(run_header(*opened, error));
    for (int index = 0; index < 3; index++)
        LS_TRY(run_epoch(*opened, &self->epochs[index], error));
    LS_TRY(run_note(*opened, error, "a note: %d", 42));
    if (self->profile)
        LS_TRY(run_write_profile(*opened, self->profile, error));
    return run_finish(*opened, &self->totals, error);
}

int fixture_write(fixture *self, const char *path, ls_error *error) {
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    int file = open(fixture_stdout, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    dup2(file, STDOUT_FILENO);
    run *opened = NULL;
    int status = write_run(self, path, &opened, error);
    run_close(opened);
    dup2(kept, STDOUT_FILENO);
    close(kept);
    close(file);
    return status;
}

text_buffer fixture_read(const char *path) {
    text_buffer text = {0};
    text_add(&text, "%s", "");
    FILE *file = fopen(path, "rbe");
    char block[4096];
    for (size_t count; file && (count = fread(block, 1, sizeof block, file)) > 0;)
        text_add_bytes(&text, block, count);
    if (file)
        fclose(file);
    return text;
}

int fixture_report(const char *allow, double target, const char *const *folders, size_t count,
                   table_format format, text_buffer *out, text_buffer *lines) {
    run_list runs = {0};
    configuration_list configurations = {0};
    comparison_list tables = {0};
    complaints complaints = {0};
    target_table reached = {0};
    ls_error error = {0};
    int status = run_list_read(&runs, (char *const *)folders, count, &complaints, &error);
    if (status == LS_OK)
        status = run_list_leave_suspended(&runs, allow, &complaints, &error);
    if (status == LS_OK)
        status = configurations_make(&configurations, runs.items, runs.count, &error);
    if (status == LS_OK)
        status = comparisons_make(&tables, &configurations, allow, &complaints, &error);
    if (status == LS_OK && target > 0)
        status = target_make(&reached, &tables, target, &complaints, &error);
    if (status == LS_OK && format == TABLE_CSV)
        speedup_csv(out, &tables, target > 0 ? &reached : NULL);
    for (size_t index = 0; status == LS_OK && format != TABLE_CSV && index < tables.count; index++)
        speedup_text(out, &tables.items[index], format);
    if (status == LS_OK && format != TABLE_CSV && target > 0)
        target_text(out, &reached, format);
    for (size_t index = 0; index < complaints.count; index++)
        text_add(lines, "%s\n", complaints.list[index].text);
    if (status != LS_OK)
        text_add(lines, "%s\n", error.text);
    else if (complaints.count)
        status = LS_BAD_INPUT;
    target_free(&reached);
    comparisons_free(&tables);
    configurations_free(&configurations);
    run_list_free(&runs);
    complaints_free(&complaints);
    return status;
}
