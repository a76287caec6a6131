/* What a run says of its GPUs, in its log and its files, and what without any. */
#include "report/facts/gpu_sums.h"
#include "report/run/gpu_csv.h"
#include "report_checks.h"

#include <math.h>
#include <string.h>
#include <sys/stat.h>

static void a_run_on_gpus(void) {
    static const char *const columns[][2] = {
        {"graph", "yes"},
        {"graph_requested", "1"},
        {"communication_note", "a note, with a comma"},
        {"rank_gpu_uuids", "GPU-00000000-0000-0000-0000-00000000abc0;"
                           "GPU-00000000-0000-0000-0000-00000000abc1"},
        {"rank_gpu_numa_nodes", "0;0"},
        {"rank_gpu_drivers", "580.1;570.2"},
        {"gpu_utilisation_minimum", "0.5"},
        {"gpu_utilisation_mean", "0.625"},
        {"gpu_peak_memory_maximum_bytes", "1000000001"},
        {"gpu_energy_joules", "2700"},
        {"gpu_joules_per_image", "0.9"},
        {"cpu_energy_joules", "600"},
        {"cpu_joules_per_image", "0.2"},
        {"cpu_energy", "2 CPU packages (RAPL)"},
        {"gpu_mean_power_watts", "125"},
        {"gpu_maximum_temperature_celsius", "41"},
        {"gpu_clocks_held_back_by", "power cap, thermal (hardware)"},
        {"host_cpu_utilisation_mean", "0.25"},
        {"rank_gpu_utilisation", "0.5;0.75"},
        {"rank_gpu_energy_joules", "1000;1500"},
        {"skipped_updates", "5"},
        {"final_loss_scale", "32768"},
        {"sampled_steps", "4"},
        {"step_seconds", "5.11829333"}, /* 119.96 s * 128 / 3000 images */
        {"step_floor_seconds", "1.25"},
    };
    static const char *const parts[] = {
        "GPU driver     580.1; on rank 1 570.2\n",
        "communication  mpi (a note, with a comma)\nCUDA graph     yes\n",
        "rank  host   device  UUID      its NUMA  NUMA  threads  cores\n"
        "   0  node1  a GPU   0000abc0         0     0        2  0-1\n"
        "   1  node2  a GPU   0000abc1         0     1        2  0-1\n"
        "cores on another NUMA node than the GPU: rank 1\n",
        "   3.1%  0 updates skipped, loss scale 65536\n",
        "   3.1%  1 update skipped, loss scale 32768\n",
        "phases as in 4 sampled steps, timed without a graph\n",
        "a step of 128 images took 5118293.3 us by the epochs' clock (4 of 24 were launched one "
        "call at a time), 4.09 times its floor of 1250000.0 us: of each layer and phase the larger "
        "of FLOP at 200.0 GFLOP/s and bytes at 10.00 GB/s, both measured here\n",
        "rank  GPU       GPU utilisation  GPU memory    energy  mean power  hottest  clocks held "
        "back by\n"
        "   0  0000abc0            50.0%   1000.0 MB  1000.0 J     100.0 W     40 C  power cap, "
        "thermal (hardware)\n"
        "   1  0000abc1            75.0%   1000.0 MB  1500.0 J     150.0 W     41 C  -\n"
        "GPUs in training time: utilisation 62.5%, host CPUs 25.0% busy\n"
        "energy in training time: GPUs 2700.0 J (0.9000 J an image), CPU packages 600.0 J (0.2000 "
        "J "
        "an image)\n",
        "CPU energy     2 CPU packages (RAPL)\n",
        "5 updates skipped, loss scale 32768 at the end\n",
    };
    fixture made;
    fixture_make(&made, "ddp", 2, 64, 119.96);
    fixture_on_gpus(&made);
    strcpy(made.ranks[1].driver, "570.2");
    made.facts.communication_note = "a note, with a comma";
    made.epochs[0].loss_scale = 65536;
    made.epochs[1].loss_scale = made.totals.final_loss_scale = 32768;
    made.epochs[1].skipped_updates = 1;
    made.totals.skipped_updates = 5;
    made.totals.sampled_steps = 4;
    made.totals.gpu_energy_joules = 2700; /* over two attempts; a rank's is of the last */
    made.totals.cpu_energy_joules = 600;
    made.epochs[2].gpu_energy_joules = 900;
    made.epochs[2].cpu_energy_joules = 200;
    made.facts.cpu_energy = "2 CPU packages (RAPL)";
    made.totals.step_floor = (step_rates){1.25, 2e11, 1e10};
    fixture_write_or_say(&made, "gpus");
    fixture_expect_columns("gpus", columns, FIXTURE_COUNT(columns));
    fixture_expect_in_log("gpus", parts, FIXTURE_COUNT(parts));
    text_buffer epochs = fixture_read("gpus/epochs.csv");
    CHECK(strstr(epochs.bytes, ",0.5,0,65536,0.75,") &&
              strstr(epochs.bytes, ",0.5,1,32768,0.75,") &&
              strstr(epochs.bytes, ",0.5,,,0.75,400000000,,,900,200,0,\n"),
          "epochs.csv holds:\n%s", epochs.bytes);
    text_free(&epochs);
    check_case("GPUs: header, loss scale, what the monitor saw");
}

/* What is measured of a GPU or a host is counted at its first rank. */
static void the_first_on_each(void) {
    fixture made;
    fixture_make(&made, "ddp", 2, 64, 119.96);
    CHECK(is_first_on_gpu(made.ranks, 1) && is_first_on_host(made.ranks, 1), "two hosts, no GPU");
    fixture_on_gpus(&made);
    CHECK(is_first_on_gpu(made.ranks, 0) && is_first_on_gpu(made.ranks, 1), "two GPUs");
    strcpy(made.ranks[1].gpu_uuid, made.ranks[0].gpu_uuid);
    strcpy(made.ranks[1].host, made.ranks[0].host);
    CHECK(is_first_on_gpu(made.ranks, 0) && !is_first_on_gpu(made.ranks, 1), "one GPU");
    CHECK(is_first_on_host(made.ranks, 0) && !is_first_on_host(made.ranks, 1), "one host");
    check_case("the first rank on a GPU, on a host");
}

/* Two ranks on one GPU draw its power once; a GPU that was not measured leaves no sum. */
static void gpus_shared_or_unseen(void) {
    static const char *const shared_columns[][2] = {{"gpu_peak_memory_maximum_bytes", "1000000000"},
                                                    {"gpu_mean_power_watts", "100"},
                                                    {"skipped_updates", ""}};
    static const char *const unseen_columns[][2] = {
        {"gpu_joules_per_image", ""},        {"gpu_utilisation_mean", "0.5"},
        {"rank_gpu_energy_joules", "1000;"}, {"gpu_clocks_held_back_by", "none"},
        {"graph", "no (mode dp)"},           {"graph_requested", "0"}};
    static const char *const nothing_columns[][2] = {
        {"gpu_energy_joules", ""},    {"gpu_utilisation_mean", ""},
        {"rank_gpu_utilisation", ""}, {"gpu_clocks_held_back_by", ""},
        {"rank_gpu_numa_nodes", ";"}, {"host_cpu_utilisation_mean", "0.25"}};
    fixture shared, unseen, nothing;
    fixture_make(&shared, "ddp", 2, 64, 119.96);
    fixture_on_gpus(&shared);
    unseen = nothing = shared;
    strcpy(shared.ranks[1].gpu_uuid, shared.ranks[0].gpu_uuid);
    fixture_write_or_say(&shared, "shared");
    fixture_expect_columns("shared", shared_columns, FIXTURE_COUNT(shared_columns));
    unseen.usage[1].gpu = (gpu_usage){0};
    unseen.usage[0].gpu.throttle_reasons = 1; /* idle at times: nothing held it back */
    unseen.facts.graph_requested = false;
    unseen.facts.graph = "no (mode dp)";
    fixture_write_or_say(&unseen, "unseen");
    fixture_expect_columns("unseen", unseen_columns, FIXTURE_COUNT(unseen_columns));
    static const char *const row[] = {
        "   1  0000abc1                -           -         -           -        -  -\n"
        "GPUs in training time: utilisation 50.0%, host CPUs 25.0% busy\n"};
    fixture_expect_in_log("unseen", row, FIXTURE_COUNT(row));
    nothing.usage[0].gpu = (gpu_usage){0};
    nothing.usage[1].gpu = (gpu_usage){.measured = true,
                                       .utilisation = NAN,
                                       .peak_memory_bytes = NAN,
                                       .energy_joules = NAN,
                                       .mean_power_watts = NAN,
                                       .maximum_temperature_celsius = NAN,
                                       .host_cpu_utilisation = 0.25}; /* the host, without NVML */
    nothing.ranks[0].gpu_numa_node = nothing.ranks[1].gpu_numa_node = -1;
    fixture_write_or_say(&nothing, "nothing-seen");
    fixture_expect_columns("nothing-seen", nothing_columns, FIXTURE_COUNT(nothing_columns));
    text_buffer log = fixture_read("nothing-seen/log.txt");
    CHECK(!strstr(log.bytes, "GPU utilisation") && !strstr(log.bytes, "in training time") &&
              !strstr(log.bytes, "another NUMA node"),
          "%s", log.bytes);
    text_free(&log);
    check_case("a GPU that is shared counts once, one that was not seen leaves no sum");
}

static void a_run_without_gpus(void) {
    static const char *const columns[][2] = {
        {"graph", ""},           {"graph_requested", ""},   {"communication_note", ""},
        {"rank_gpu_uuids", ""},  {"rank_gpu_drivers", ""},  {"rank_gpu_numa_nodes", ""},
        {"skipped_updates", ""}, {"final_loss_scale", ""},  {"gpu_utilisation_mean", ""},
        {"sampled_steps", ""},   {"gpu_energy_joules", ""}, {"gpu_peak_memory_maximum_bytes", ""},
    };
    fixture made;
    fixture_make(&made, "ddp", 2, 64, 119.96);
    fixture_write_or_say(&made, "cpus");
    fixture_expect_columns("cpus", columns, FIXTURE_COUNT(columns));
    text_buffer log = fixture_read("cpus/log.txt");
    CHECK(!strstr(log.bytes, "GPU") && !strstr(log.bytes, "graph") && !strstr(log.bytes, "skipped"),
          "%s", log.bytes);
    text_free(&log);
    check_case("without a GPU its columns are empty and its lines absent");
}

static void what_the_monitors_saw(void) {
    usage_sample samples[2][3] = {{{.seconds = -0.25,
                                    .gpu_utilisation = 0,
                                    .gpu_memory_bytes = 12345678901,
                                    .power_watts = 99.5,
                                    .sm_clock_hertz = 1980e6,
                                    .memory_clock_hertz = 2619e6,
                                    .temperature_celsius = 41,
                                    .host_cpu_utilisation = NAN,
                                    .own_cpu_cores = NAN,
                                    .own_memory_bytes = NAN,
                                    .throttle_known = true,
                                    .throttle_reasons = 1},
                                   {.seconds = 0.125,
                                    .gpu_utilisation = 0.75,
                                    .gpu_memory_bytes = NAN,
                                    .power_watts = NAN,
                                    .sm_clock_hertz = NAN,
                                    .memory_clock_hertz = NAN,
                                    .temperature_celsius = NAN,
                                    .host_cpu_utilisation = 0.5,
                                    .own_cpu_cores = 1.5,
                                    .own_memory_bytes = 9876543210,
                                    .throttle_known = true,
                                    .throttle_reasons = 0xa4,
                                    .training = true},
                                   {.seconds = NAN}},
                                  {{.seconds = NAN}, {.seconds = NAN}, {.seconds = NAN}}};
    ls_error error = {0}, full = {0};
    samples[1][0] = samples[0][1];
    samples[1][0].throttle_known = false;
    mkdir("seen", 0777);
    CHECK(gpu_csv_write("seen", "gpu.csv", &samples[0][0], 2, 3, &error) == LS_OK, "%s",
          error.text);
    fixture_expect_file("seen/gpu.csv",
                        "seconds,rank,training,gpu_utilisation_percent,gpu_memory_bytes,"
                        "power_watts,sm_clock_mhz,memory_clock_mhz,temperature_celsius,"
                        "clocks_held_back_by,host_cpu_percent,own_cpu_cores,own_memory_bytes\n"
                        "-0.25,0,0,0,12345678901,99.5,1980,2619,41,none,,,\n"
                        "0.125,0,1,75,,,,,,\"power cap, thermal (software), power brake\",50,"
                        "1.5,9876543210\n"
                        "0.125,1,1,75,,,,,,,50,1.5,9876543210\n");
    CHECK(gpu_csv_write("nowhere", "gpu.csv", &samples[0][0], 2, 3, &full) == LS_FAILED &&
              strstr(full.text, "nowhere/gpu.csv: cannot write"),
          "%s", full.text);
    check_case("gpu.csv: a row a sample, empty where nothing was measured");
}

int main(void) {
    fixture_enter_folder();
    a_run_without_gpus();
    a_run_on_gpus();
    the_first_on_each();
    gpus_shared_or_unseen();
    what_the_monitors_saw();
    fixture_leave_folder();
    return check_done();
}
