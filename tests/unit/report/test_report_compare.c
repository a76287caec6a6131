/* The tables of runs that are compared: what is in them for one run a configuration and for
 * repeats, as text, Markdown and CSV. The numbers of the repeats are scipy's. */
#include "../check.h"
#include "report_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FACTS                                                                                      \
    "cnn, fp32, 3 epochs of 1000 images, data set 0123456789ab, seed 7, adam; device cpu: a CPU "  \
    "(a library 1.2); lockstep 0.0.0-test\n\n"
#define WEAK                                                                                       \
    "The global batch is not the baseline's: with the same batch per rank, more ranks take fewer " \
    "steps an epoch. The ratio is weak scaling in the batch, not the same optimisation problem "   \
    "solved faster."
#define ONE_PAIR                                                                                   \
    "One pair of runs: a ratio without an interval, so nobody knows how much of it is chance."

/* A run that began `minute` minutes after the first. */
static void write_at(const char *folder, const char *mode, int ranks, int batch_per_rank,
                     double seconds, int minute) {
    fixture made;
    ls_error error = {0};
    fixture_make(&made, mode, ranks, batch_per_rank, seconds);
    snprintf(made.facts.started, sizeof made.facts.started, "2020-02-02T20:%02d:20+0000", minute);
    CHECK(fixture_write(&made, folder, &error) == LS_OK, "%s", error.text);
}

enum { PARTS = 12 };

/* The tables hold these texts, in this order; the report says nothing else. */
static void expect_parts_until(double target, const char *const *folders, size_t count,
                               table_format format, const char *const parts[PARTS]) {
    text_buffer out = {0}, lines = {0};
    CHECK(fixture_report(NULL, target, folders, count, format, &out, &lines) == LS_OK, "%s",
          lines.bytes);
    const char *rest = out.bytes ? out.bytes : "";
    for (int index = 0; index < PARTS && parts[index]; index++) {
        const char *found = strstr(rest, parts[index]);
        CHECK(found, "no '%s' in the rest:\n%s", parts[index], rest);
        rest = found ? found + strlen(parts[index]) : rest;
    }
    CHECK(*rest == '\0', "more than expected: '%s'", rest);
    text_free(&out);
    text_free(&lines);
}

static void expect_parts(const char *const *folders, size_t count, table_format format,
                         const char *const parts[PARTS]) {
    expect_parts_until(0, folders, count, format, parts);
}

#define TITLES                                                                                     \
    "Configuration            Runs  Training time  Seconds       Speedup  95% interval  Pairs  "   \
    "Efficiency  Images/s  Global batch  Batch per rank  Steps  Test accuracy  Peak memory\n"

/* Two ranks cannot be more than twice as fast by being two. */
static void too_efficient(void) {
    static const char *const folders[] = {"single", "faster"};
    fixture made;
    ls_error error = {0};
    text_buffer out = {0}, lines = {0};
    fixture_make(&made, "ddp", 2, 64, 40);
    CHECK(fixture_write(&made, "faster", &error) == LS_OK, "%s", error.text);
    CHECK(fixture_report(NULL, 0, folders, 2, TABLE_TEXT, &out, &lines) == LS_OK, "%s",
          lines.bytes ? lines.bytes : "");
    CHECK(out.bytes && strstr(out.bytes, "149.9%") &&
              strstr(out.bytes, "] An efficiency above 100% is more than so many ranks can give"),
          "no footnote in:\n%s", out.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("an efficiency that cannot be has a footnote");
}

/* The table that the program exists to reproduce: 120 s, 65 s and 141 s; and the strong one. */
static void one_run_each(void) {
    static const char *const folders[] = {"ddp", "single", "dp", "strong"};
    static const char *const text[PARTS] = {
        "Weak scaling in the batch: 64 images a rank in every run\n" FACTS TITLES
        "1 node, 1 rank (single)     1      2 min 0 s   119.96      baseline    ",
        " 25.0            64              64     48         50.00%     400.0 MB\n"
        "2 nodes, 2 ranks (DDP)      1      1 min 5 s    65.00  1.85x [1][2]             -      1 "
        "      92.3%      46.2           128              64     24         50.00%     450.0 MB\n"
        "2 nodes, 2 ranks (DP)       1     2 min 21 s   141.00  0.85x [1][2]             -      1 "
        "      42.5%      21.3           128              64     24         50.00%     450.0 MB\n"
        "\n[1] " WEAK "\n\n[2] " ONE_PAIR "\n",
        "Strong scaling: the global batch is 64 in every run\n" FACTS,
        "\n2 nodes, 2 ranks (DDP)      1     1 min 20 s    80.00  1.50x [1]             -      1 ",
        " 75.0%      37.5            64              32     48         50.00%     450.0 MB\n"
        "\n[1] " ONE_PAIR "\n"};
    expect_parts(folders, 4, TABLE_TEXT, text);
    check_case("the weak table carries its footnote, the strong one has none of it");
    static const char *const markdown[PARTS] = {
        "**Weak scaling in the batch**: 64 images a rank in every run\n\n" FACTS
        "| Configuration | Runs | Training time | Seconds | Speedup | 95% interval | Pairs | "
        "Efficiency | Images/s | Global batch | Batch per rank | Steps | Test accuracy | Peak "
        "memory |\n|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        "| 1 node, 1 rank (single) | 1 | 2 min 0 s | 119.96 | baseline |  |  |  | 25.0 | 64 | 64 | "
        "48 | 50.00% | 400.0 MB |\n"
        "| 2 nodes, 2 ranks (DDP) | 1 | 1 min 5 s | 65.00 | 1.85x [1][2] | - | 1 | 92.3% | 46.2 | "
        "128 | 64 | 24 | 50.00% | 450.0 MB |\n",
        "\n[1] " WEAK "\n\n[2] " ONE_PAIR "\n"};
    expect_parts(folders, 2, TABLE_MARKDOWN, markdown);
    check_case("Markdown");
}

#define CSV_TITLES                                                                                 \
    "scaling,configuration,baseline,repeats,mode,nodes,ranks,device,rank_devices,"                 \
    "training_seconds,training_time,shortest_training_seconds,longest_training_seconds,spread,"    \
    "noisy,speedup,speedup_low,speedup_high,pairs,parallel_efficiency,images_per_second,"          \
    "global_batch,batch_per_rank,steps,final_test_accuracy,peak_memory_maximum_bytes,"             \
    "lost_waiting,lost_transfer,lost_data,lost_forward,lost_backward,lost_optimizer,lost_rest,"    \
    "stragglers,drift_per_hour,drift_per_hour_low,drift_per_hour_high,drifting,target_accuracy,"   \
    "target_reached,target_seconds,target_images,target_epochs,target_evaluation_seconds,target_"  \
    "gpu_joules,"                                                                                  \
    "target_cpu_joules,runs,"                                                                      \
    "note\n"

/* 100, 104, 99 s against 52, 53, 50.5 s and 100, 125, 99 s. By numpy and scipy: ratios 1.94849508
 * (1.89417579 to 2.00437209) and 0.94053388 (0.72246018 to 1.22443285); the baseline's slope
 * -0.030151 an hour (-1.977659 to 1.917357). */
static void repeats(void) {
    static const char *const folders[] = {"s-2", "d-1",  "s-10", "s-1", "d-2",
                                          "n-1", "d-10", "n-2",  "n-10"};
    write_at("s-1", "single", 1, 64, 100, 0);
    write_at("s-2", "single", 1, 64, 104, 10);
    write_at("s-10", "single", 1, 64, 99, 20);
    write_at("d-1", "ddp", 2, 64, 52, 1);
    write_at("d-2", "ddp", 2, 64, 53, 11);
    write_at("d-10", "ddp", 2, 64, 50.5, 21);
    write_at("n-1", "dp", 2, 64, 100, 1);
    write_at("n-2", "dp", 2, 64, 125, 1); /* the same second: by the folders' numbers */
    write_at("n-10", "dp", 2, 64, 99, 1);
    static const char *const text[PARTS] = {
        "\n1 node, 1 rank (single)     3     1 min 40 s   100.00         baseline    ",
        "\n2 nodes, 2 ranks (DDP)      3        52.00 s    52.00        1.95x [1]  1.89 to 2.00    "
        " "
        " 3       97.4%      57.7 ",
        "\n2 nodes, 2 ranks (DP)       3     1 min 40 s   100.00  0.94x [1][2][3]  0.72 to 1.22    "
        " "
        " 3       47.0%      30.0 ",
        "\nDrift of the machine, by the baseline's 3 repeats: its training time changes by -3.0% "
        "an hour (95% interval -198% to +192%), -1.0% in the 20.0 minutes from the first to the "
        "last: "
        "no drift is shown.\n\n[1] " WEAK
        "\n\n[2] The interval holds 1: these runs show no difference from the baseline.\n"
        "\n[3] Noisy: the training times of its 3 repeats spread over 26.0% of their median (more "
        "than 10%).\n"};
    expect_parts(folders, 9, TABLE_TEXT, text);
    static const char *const csv[PARTS] = {
        CSV_TITLES
        "weak,\"1 node, 1 rank (single)\",1,3,single,1,1,cpu,a CPU,100,1 min 40 s,99,104,"
        "0.05,0,1,,,,1,30,64,64,48,0.5,400000000,,,,,,,,,-0.0301510076,-1.97765932,1.9173573,0,,,,"
        ",,,,,"
        "s-1;s-2;s-10,\n",
        "weak,\"2 nodes, 2 ranks (DDP)\",0,3,ddp,2,2,cpu,a CPU;a CPU,52,52.00 s,50.5,53,"
        "0.0480769231,0,1.94849508,1.89417579,2.00437209,3,0.974247541,57.6923077,128,64,24,0.5,"
        "450000000,",
        ",,,,,,,,,,,,,d-1;d-2;d-10,\"" WEAK "\"\n",
        "weak,\"2 nodes, 2 ranks (DP)\",0,3,dp,2,2,cpu,a CPU;a CPU,100,1 min 40 s,99,125,0.26,1,"
        "0.940533875,0.722460176,1.22443285,3,0.470266938,30,128,64,24,0.5,450000000,",
        ",,,,,,,,,,,,,n-1;n-2;n-10,\"" WEAK " The interval holds 1",
        "Noisy: the training times of its 3 repeats spread over 26.0% of their median (more than "
        "10%).\"\n"};
    expect_parts(folders, 9, TABLE_CSV, csv);
    check_case("repeats: medians, a ratio with its interval, noise, the machine's drift");
}

/* Times that grow by 10% each 10 minutes, near enough: 57% an hour, and there is no doubt. */
static void a_drifting_machine(void) {
    static const char *const folders[] = {"w-1", "w-2", "w-3", "w-4"};
    double seconds = 100;
    for (int index = 0; index < 4; index++, seconds *= index % 2 ? 1.1 : 1.101)
        write_at(folders[index], "single", 1, 64, seconds, 10 * index);
    static const char *const text[PARTS] = {
        "One configuration: nothing to compare it with\n",
        "1 node, 1 rank (single)     4 ",
        "its training time changes by +57.",
        "%), +28.7% in the 30.0 minutes from the first to the last: DRIFT, the machine changed "
        "while "
        "these runs were "
        "made.\n",
        "\n[1] Noisy: the training times of its 4 repeats spread over ",
        "(more than 10%).\n"};
    expect_parts(folders, 4, TABLE_TEXT, text);
    check_case("drift that is no chance is flagged");
}

/* Fewer repeats than the baseline's: what has a partner is a pair, and a line says so. */
static void missing_repeats(void) {
    static const char *const folders[] = {"s-1", "s-2", "s-10", "d-1", "d-2"};
    text_buffer out = {0}, lines = {0};
    CHECK(fixture_report(NULL, 0, folders, 5, TABLE_TEXT, &out, &lines) == LS_BAD_INPUT, "no line");
    static const char line[] = "2 nodes, 2 ranks (DDP), from d-1: 2 repeats where the baseline, "
                               "from s-1, has 3: 2 pairs for the ratio";
    CHECK(lines.bytes && strncmp(lines.bytes, line, strlen(line)) == 0, "%s", lines.bytes);
    CHECK(out.bytes && strstr(out.bytes, "2 repeats where the baseline has 3: the ratio has 2 "
                                         "pairs"),
          "%s", out.bytes);
    text_free(&out);
    text_free(&lines);
    CHECK(fixture_report("repeats", 0, folders, 5, TABLE_TEXT, &out, &lines) == LS_OK, "a line");
    CHECK(!lines.bytes && out.bytes && strstr(out.bytes, "the ratio has 2 pairs"), "%s", out.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("missing repeats");
}

/* Two baselines: each configuration stands where it fits; what shares a name is told apart. */
static void several_baselines(void) {
    static const char *const folders[] = {"single", "big", "ddp", "ddp1", "shared"};
    fixture made;
    ls_error error = {0};
    write_at("big", "single", 1, 128, 118, 5);
    write_at("ddp1", "ddp", 1, 64, 122, 6);
    fixture_make(&made, "ddp", 2, 64, 70);
    made.facts.bucket_choice = "auto";
    made.facts.factor_comm = "on";
    CHECK(fixture_write(&made, "shared", &error) == LS_OK, "%s", error.text);
    static const char *const text[PARTS] = {
        "Weak scaling in the batch: 64 images a rank in every run\n",
        "\n1 node, 1 rank (single) ",
        "\n2 nodes, 2 ranks (DDP; factor_comm -; bucket_choice -)  ",
        "\n2 nodes, 2 ranks (DDP; factor_comm on; bucket_choice auto)  ",
        "[2] " ONE_PAIR "\n",
        "Strong scaling: the global batch is 64 in every run\n",
        "\n1 node, 1 rank (DDP) ",
        "Strong scaling: the global batch is 128 in every run\n",
        "\n2 nodes, 2 ranks (DDP; ",
        "\n2 nodes, 2 ranks (DDP; ",
        "[1] " ONE_PAIR "\n"};
    expect_parts(folders, 5, TABLE_TEXT, text);
    check_case("two baselines, and two configurations of one name");
}

/* The way of the sums is part of what a configuration is. */
static void two_comms(void) {
    static const char *const folders[] = {"single", "ddp", "nccl"};
    fixture made;
    ls_error error = {0};
    fixture_make(&made, "ddp", 2, 64, 60);
    made.facts.communication = "nccl";
    CHECK(fixture_write(&made, "nccl", &error) == LS_OK, "%s", error.text);
    text_buffer out = {0}, lines = {0};
    CHECK(fixture_report(NULL, 0, folders, 3, TABLE_TEXT, &out, &lines) == LS_OK, "%s",
          lines.bytes);
    CHECK(strstr(out.bytes, "\n2 nodes, 2 ranks (DDP; communication mpi) "), "%s", out.bytes);
    CHECK(strstr(out.bytes, "\n2 nodes, 2 ranks (DDP; communication nccl) "), "%s", out.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("runs over two comms are no repeats");
}

/* Test accuracy is 50%, 75% and 50% after the epochs, each a third of the time; of d-2 it is less.
 */
static void time_to_accuracy(void) {
    static const char *const folders[] = {"s-1", "s-2", "d-1", "slow"};
    fixture made;
    ls_error error = {0};
    fixture_make(&made, "ddp", 2, 64, 54);
    made.epochs[1].test_accuracy = 0.5;
    CHECK(fixture_write(&made, "slow", &error) == LS_OK, "%s", error.text);
    static const char *const some[PARTS] = {
        "Time to accuracy: until test accuracy first reached 70.00%\n" FACTS
        "Configuration            Global batch  Reached by  Training time  Seconds   Speedup  95% "
        "interval  Pairs  Images  Epochs  Evaluation\n"
        "1 node, 1 rank (single)            64      2 of 2      1 min 8 s    68.00  baseline    ",
        "  2000       2      1.00 s\n"
        "2 nodes, 2 ranks (DDP)            128      1 of 2        34.67 s    34.67  - [1][2]      "
        "       -      0    2000       2      1.00 s\n",
        "\n[1] 1 of 2 runs never reached it (the best test accuracy of any is 75.00%).\n\n[2] No "
        "speedup: that takes runs of which all reached 70.00%, of the baseline too; the ratio of "
        "those that did would be too good.\n"};
    expect_parts_until(0.7, folders, 4, TABLE_TEXT, some);
    check_case("time to accuracy, where some runs never get there");
    static const char *const pairs[] = {"s-1", "s-2", "s-10", "d-1", "d-2", "d-10"};
    static const char *const all[PARTS] = {
        "**Time to accuracy**: until test accuracy first reached 75.00%\n\n",
        ("\n| 2 nodes, 2 ranks (DDP) | 128 | 3 of 3 | 34.67 s | 34.67 | 1.95x | 1.89 to 2.00 | 3 | "
         "2000 | 2 | 1.00 s |\n"),
        "what this table compares.\n"};
    expect_parts_until(0.75, pairs, 6, TABLE_MARKDOWN, all);
    static const char *const csv[PARTS] = {CSV_TITLES,
                                           "\ntarget,\"1 node, 1 rank (single)\",1,",
                                           "0.75,3,66.6666666,2000,2,1,",
                                           "\ntarget,\"2 nodes, 2 ranks (DDP)\",0,3,",
                                           ",1.94849508,1.8941758,2.00437209,3,",
                                           "0.75,3,34.6666666,2000,2,1,,,d-1;d-2;d-10,\n"};
    expect_parts_until(0.75, pairs, 6, TABLE_CSV, csv);
    static const char *const none[PARTS] = {
        "0 of 3              -        -",
        ("3 of 3 runs never reached it (the best test accuracy of "
         "any is 75.00%).\n"),
        "would be too good.\n"};
    expect_parts_until(0.76, pairs, 6, TABLE_TEXT, none);
    check_case("time to accuracy with its ratio; and where no run gets there");
}

/* What a summary does not agree with. */
static void changed_epochs(void) {
    static const char *const folders[] = {"s-1", "cut"};
    text_buffer out = {0}, lines = {0};
    CHECK(system("cp -r d-1 cut && head -n 3 d-1/epochs.csv >cut/epochs.csv") == 0, "no copy");
    CHECK(fixture_report(NULL, 0.7, folders, 2, TABLE_TEXT, &out, &lines) == LS_BAD_INPUT, "taken");
    CHECK(lines.bytes &&
              strcmp(lines.bytes, "cut/epochs.csv: expected 3 epochs, as summary.csv has "
                                  "it, found 2\n") == 0,
          "%s", lines.bytes);
    CHECK(out.bytes && strstr(out.bytes, "1 of 1 runs have no epochs.csv that could be read"), "%s",
          out.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("an epochs.csv that was cut is named, the rest is reported");
}

static void one_epoch(void) {
    static const char *const alone[] = {"short"};
    fixture made;
    text_buffer out = {0}, lines = {0};
    ls_error error = {0};
    fixture_make(&made, "single", 1, 64, 40);
    made.facts.epochs = 1;
    CHECK(fixture_write(&made, "short", &error) == LS_OK, "%s", error.text);
    CHECK(fixture_report(NULL, 0, alone, 1, TABLE_TEXT, &out, &lines) == LS_OK, "%s", lines.bytes);
    CHECK(out.bytes && strstr(out.bytes, "fp32, 1 epoch of 1000 images"), "%s", out.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("one epoch is not several");
}

int main(void) {
    fixture_enter_folder();
    write_at("single", "single", 1, 64, 119.96, 0);
    write_at("ddp", "ddp", 2, 64, 65, 1);
    write_at("dp", "dp", 2, 64, 141, 2);
    write_at("strong", "ddp", 2, 32, 80, 3);
    one_run_each();
    too_efficient();
    repeats();
    a_drifting_machine();
    missing_repeats();
    several_baselines();
    two_comms();
    time_to_accuracy();
    changed_epochs();
    one_epoch();
    fixture_leave_folder();
    return check_done();
}
