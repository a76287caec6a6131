/* What a run leaves, and reading it back. */
#include "report_checks.h"

#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void a_run_leaves_its_files(void) {
    fixture made;
    fixture_make(&made, "ddp", 2, 64, 119.96);
    fixture_write_or_say(&made, "some/where/run");
    text_buffer log = fixture_read("some/where/run/log.txt");
    fixture_expect_file("stdout.txt", log.bytes);
    static const char *const parts[] = {
        "lockstep 0.0.0-test: ddp, 2 ranks on 2 nodes\n",
        "rank  host   device  NUMA  threads  cores\n   0  node1  a CPU      -        2  0-1\n",
        "64 a rank, 128 in all (global); weak scaling",
        "    2      0.5000     62.50%     0.6250     75.00%*      25.0      39.99    6.2%    "
        "25.0%     50.0%    12.5%       3.1%    3.1%\n",
        "    3      0.3333     75.00%     0.4167     50.00%       25.0",
        "a note: 42\n",
        "training       2 min 0 s  119.960  ",
        "to first step          -        -  ",
        "exposed communication   14.995  12.5%\n",
        "   1  node2     450.0 MB            87.5%\n",
        "trained on 3000 images in 24 steps, 25.0 images/s\n"
        "test accuracy 50.00% (top-5 87.50%) at the end, best 75.00% after epoch 2 (*)\n",
    };
    for (size_t index = 0; index < sizeof parts / sizeof parts[0]; index++)
        CHECK(strstr(log.bytes, parts[index]), "'%s' is not in:\n%s", parts[index], log.bytes);
    text_free(&log);
    fixture_expect_file(
        "some/where/run/epochs.csv",
        "format_version,epoch,train_loss,train_accuracy,test_loss,test_accuracy,test_top5_accuracy,"
        "best,images,"
        "steps,training_seconds,images_per_second,data_seconds,forward_seconds,"
        "backward_seconds,exposed_communication_seconds,optimizer_seconds,other_seconds,"
        "waiting_seconds,evaluation_seconds,skipped_updates,loss_scale,cpu_utilisation_mean,"
        "peak_memory_maximum_bytes,gpu_utilisation_mean,gpu_peak_memory_maximum_bytes,"
        "gpu_energy_joules,cpu_energy_joules,suspended_seconds,gradient_norm_mean\n"
        "1,1,1,0.5,1.25,0.5,0.875,1,1000,8,39.9866667,25.0083361,2.49916667,9.99666667,19.9933333,"
        "4.99833333,1.24958333,1.24958333,,0.5,,,0.75,400000000,,,,,0,\n"
        "1,2,0.5,0.625,0.625,0.75,0.875,1,1000,8,39.9866667,25.0083361,2.49916667,9.99666667,"
        "19.9933333,4.99833333,1.24958333,1.24958333,,0.5,,,0.75,400000000,,,,,0,\n"
        "1,3,0.333333333,0.75,0.416666667,0.5,0.875,0,1000,8,39.9866667,25.0083361,2.49916667,"
        "9.99666667,19.9933333,4.99833333,1.24958333,1.24958333,,0.5,,,0.75,400000000,,,,,0,\n");
    check_case("a run leaves log.txt (what it printed), epochs.csv");
}

static void the_summary_comes_back(void) {
    static const struct {
        const char *column, *value;
    } expected[] = {
        {"format_version", "1"},
        {"command_line", "lockstep train --data \"a, b\""},
        {"mode", "ddp"},
        {"ranks", "2"},
        {"momentum", ""},
        {"weight_decay", "0"},
        {"learning_rate", "0.001"},
        {"rank_hosts", "node1;node2"},
        {"rank_numa_nodes", ";0"},
        {"batch_per_rank", "64"},
        {"global_batch", "128"},
        {"training_seconds", "119.96"},
        {"images_per_second", "25.0083361"},
        {"other_seconds", "3.74875"},
        {"start_to_first_step_seconds", ""},
        {"start_cpu_seconds", "0.375"},
        {"peak_memory_maximum_bytes", "450000000"},
        {"peak_memory_mean_bytes", "425000000"},
        {"rank_peak_memory_bytes", "400000000;450000000"},
        {"cpu_utilisation_minimum", "0.75"},
        {"rank_cpu_utilisation", "0.75;0.875"},
        {"best_epoch", "2"},
    };
    finished_run run;
    ls_error error = {0};
    CHECK(finished_run_read(&run, "some/where/run", &error) == LS_OK, "%s", error.text);
    for (size_t index = 0; index < sizeof expected / sizeof expected[0]; index++)
        CHECK(strcmp(finished_run_text(&run, expected[index].column), expected[index].value) == 0,
              "%s: expected '%s', found '%s'", expected[index].column, expected[index].value,
              finished_run_text(&run, expected[index].column));
    CHECK(isnan(finished_run_number(&run, "momentum")), "what was not measured is no number");
    finished_run_free(&run);
    check_case("summary.csv is read back, every value by its column's name");
}

static void an_exchange_of_gradients(void) {
    static const char *const columns[][2] = {{"grad_comm", "bf16"},
                                             {"factor_comm", "auto"},
                                             {"factor_layers", "fc1;fc2"},
                                             {"bucket_choice", "auto"},
                                             {"buckets", "3"},
                                             {"largest_bucket_bytes", "1048576"},
                                             {"first_bucket_bytes", "2048"},
                                             {"hop_latency_seconds", "0.00025"},
                                             {"hop_bytes_per_second", ""}};
    static const char *const lines[] = {"gradients      bf16, 3 buckets of at most 1 MiB, the "
                                        "first 0.00195 MiB (auto; measured in 0.25 s: "
                                        "250 us a hop)\n",
                                        "factors        auto: reasons\n"};
    static const char *const none[][2] = {
        {"grad_comm", "fp32"}, {"factor_comm", ""}, {"bucket_choice", ""}, {"buckets", ""}};
    fixture made;
    ls_error error = {0};
    fixture_make(&made, "ddp", 2, 64, 141);
    CHECK(fixture_write(&made, "plain", &error) == LS_OK, "%s", error.text);
    fixture_expect_columns("plain", none, FIXTURE_COUNT(none));
    run_facts *facts = &made.facts;
    facts->grad_comm = "bf16";
    facts->factor_comm = "auto";
    facts->factor_layers = "fc1;fc2";
    facts->factor_note = "reasons";
    facts->bucket_choice = "auto";
    facts->buckets = 3;
    facts->largest_bucket_bytes = 1048576;
    facts->first_bucket_bytes = 2048;
    facts->exchange_seconds = 0.25;
    facts->hop_latency_seconds = 250e-6;
    facts->hop_bytes_per_second = INFINITY;
    CHECK(fixture_write(&made, "exchanging", &error) == LS_OK, "%s", error.text);
    fixture_expect_columns("exchanging", columns, FIXTURE_COUNT(columns));
    fixture_expect_in_log("exchanging", lines, FIXTURE_COUNT(lines));
    check_case("an exchange of gradients says what was chosen, and by what");
}

/* How busy the device was, how long it waited for data, and what would mend that. */
static void a_loader_that_was_too_slow(void) {
    fixture made;
    fixture_make(&made, "single", 1, 64, 10);
    made.facts.longer_side = 400;
    made.facts.loader_search = true;
    made.totals.loader_threads = 2;
    made.totals.loader_images_per_second = 80;
    made.totals.loader_wait_share = 0.0625;
    fixture_write_or_say(&made, "waited");
    const char *const log[] = {
        "device busy for 78.1% of the training time, steps waited for data for 6.2%\n",
        "loader: 2 threads a rank, as the search found, would deliver 80.0 images/s if they never "
        "waited\n",
        "without waiting for data training would take 320.0 images/s: --loader-threads 8, where a "
        "rank has so many processors, --decode fast, or smaller images (pack images --encoded "
        "--max-side 200, where their longer side is 400 now)\n"};
    const char *const columns[][2] = {{"device_busy", "0.78125"},
                                      {"loader_wait_share", "0.0625"},
                                      {"loader_threads", "2"},
                                      {"longer_side", "400"},
                                      {"loader_search", "1"}};
    fixture_expect_in_log("waited", log, 3);
    fixture_expect_columns("waited", columns, 5);
    made.facts.loader_search = false;
    made.totals.loader_images_per_second = 400;
    fixture_write_or_say(&made, "crowded");
    const char *const shared[] = {
        "loader: 2 threads a rank would deliver 400.0 images/s",
        "a processor of its own for each thread, --decode fast, or smaller images (pack images "
        "--encoded --max-side)\n"};
    fixture_expect_in_log("crowded", shared, 2);
    check_case("a loader that was too slow: how long, and what mends it");
}

static void a_folder_that_will_not_do(void) {
    fixture made;
    fixture_make(&made, "single", 1, 64, 1);
    ls_error used = {0}, file = {0};
    CHECK(fixture_write(&made, "some/where/run", &used) == LS_BAD_INPUT, "a used folder was taken");
    CHECK(strstr(used.text, "some/where/run: already holds"), "%s", used.text);
    close(open("a-file", O_CREAT | O_WRONLY | O_CLOEXEC, 0666));
    CHECK(fixture_write(&made, "a-file", &file) == LS_BAD_INPUT, "a file was taken");
    CHECK(strstr(file.text, "a-file"), "%s", file.text);
    mkdir("unwritable", 0777);
    mkdir("unwritable/log.txt", 0777); /* also for root, who may write anywhere */
    ls_error unwritable = {0};
    CHECK(fixture_write(&made, "unwritable", &unwritable) == LS_BAD_INPUT, "it was taken");
    CHECK(strstr(unwritable.text, "unwritable/log.txt: expected a file"), "%s", unwritable.text);
    CHECK(access("unwritable/summary.csv", F_OK) != 0, "a run that failed left a summary");
    check_case("a results folder that is used or unwritable is refused at the start");
}

/* A file that may not grow stands for a disk that is full. */
static void fill_disk(const char *folder, rlim_t bytes, int expected_code, const char *expected) {
    fixture made;
    struct rlimit before;
    ls_error error = {0};
    fixture_make(&made, "single", 1, 64, 1);
    fflush(stdout); /* the limit would be on it too */
    getrlimit(RLIMIT_FSIZE, &before);
    setrlimit(RLIMIT_FSIZE, &(struct rlimit){bytes, before.rlim_max});
    int status = fixture_write(&made, folder, &error);
    setrlimit(RLIMIT_FSIZE, &before);
    CHECK(status == expected_code, "status %d with %lu bytes", status, (unsigned long)bytes);
    CHECK(strstr(error.text, expected), "expected '%s', found '%s'", expected, error.text);
    char path[256];
    snprintf(path, sizeof path, "%s/summary.csv", folder);
    CHECK(access(path, F_OK) != 0, "a run that failed left a summary");
    snprintf(path, sizeof path, "ls -A %s | grep -q tmp", folder);
    CHECK(system(path) != 0, "a temporary file stays in %s", folder);
}

static void a_disk_that_is_full(void) {
    fixture_stdout = "/dev/null";
    signal(SIGXFSZ, SIG_IGN);
    fill_disk("full0", 16, LS_FAILED, "full0/claim.txt: cannot write: File too large");
    fill_disk("full1", 500, LS_FAILED, "full1/log.txt: cannot write: File too large");
    /* log.txt holds less than 2,200 bytes, summary.csv more than 1,000: find where it breaks. */
    fill_disk("full2", 1800, LS_FAILED, "full2/");
    fixture_stdout = "stdout.txt";
    check_case("a disk that fills costs one line, and leaves no summary and no temporary file");
}

static void other_ranks_do_nothing(void) {
    run *self = (run *)&self;
    ls_error error = {0};
    run_totals totals = {0};
    epoch_record epoch = {0};
    CHECK(run_open("nothing", NULL, NULL, &self, &error) == LS_OK && !self, "a rank without facts");
    CHECK(run_header(self, &error) == LS_OK && run_epoch(self, &epoch, &error) == LS_OK &&
              run_note(self, &error, "x") == LS_OK && run_finish(self, &totals, &error) == LS_OK,
          "%s", error.text);
    run_progress(self, 1, 1, 1, 1, 1);
    run_close(self);
    CHECK(access("nothing", F_OK) != 0, "another rank left a folder");
    check_case("ranks other than 0 write nothing");
}

/* Writes `text` as DIR/summary.csv and reads it as a run. */
static int read_edited(const char *folder, const char *text, ls_error *error) {
    char path[256];
    mkdir(folder, 0777);
    snprintf(path, sizeof path, "%s/summary.csv", folder);
    FILE *file = fopen(path, "we");
    fputs(text, file);
    fclose(file);
    finished_run run;
    int status = finished_run_read(&run, folder, error);
    if (status == LS_OK)
        finished_run_free(&run);
    return status;
}

static void summaries_that_are_refused(void) {
    static const struct {
        const char *find, *replace, *expected;
    } edits[] = {
        {"\n1,0.0.0-test", "\n2,0.0.0-test", "format version '2' is unknown"},
        {"\n1,0.0.0-test", "\n,0.0.0-test", "format version '' is unknown"},
        {",119.96,", ",0,", "training_seconds: expected a number above 0, found '0'"},
        {",119.96,", ",-5,", "training_seconds: expected a number above 0, found '-5'"},
        {",119.96,", ",\"119,96\",", "training_seconds: expected a number above 0, found '119,96'"},
        {",119.96,", ",inf,", "training_seconds: expected a number above 0, found 'inf'"},
        {",119.96,", ",,", "training_seconds: expected a number above 0, found ''"},
        {",119.96,", ",119.96,1,", " values, found "},
        {",precision,", ",precisely,", "column 'precision' is missing"},
        {"format_version,", "version,", "column 'format_version' is missing"},
        {",ddp,", ",,", "mode: expected a value, found ''"},
    };
    text_buffer good = fixture_read("some/where/run/summary.csv");
    for (size_t index = 0; index < sizeof edits / sizeof edits[0]; index++) {
        const char *at = strstr(good.bytes, edits[index].find);
        CHECK(at, "'%s' is not in the summary", edits[index].find);
        if (!at)
            continue;
        text_buffer edited = {0};
        text_add_bytes(&edited, good.bytes, (size_t)(at - good.bytes));
        text_add(&edited, "%s%s", edits[index].replace, at + strlen(edits[index].find));
        ls_error error = {0};
        CHECK(read_edited("edited", edited.bytes, &error) == LS_BAD_INPUT, "%s was taken",
              edits[index].replace);
        CHECK(strstr(error.text, edits[index].expected) && strstr(error.text, "edited/summary.csv"),
              "expected '%s', found '%s'", edits[index].expected, error.text);
        text_free(&edited);
    }
    ls_error cut = {0}, empty = {0}, no_row = {0};
    good.bytes[good.length - 1] = '\0';
    CHECK(read_edited("edited", good.bytes, &cut) == LS_BAD_INPUT, "a cut file was taken");
    CHECK(read_edited("edited", "", &empty) == LS_BAD_INPUT, "an empty file was taken");
    CHECK(read_edited("edited", "format_version\n", &no_row) == LS_BAD_INPUT &&
              strstr(no_row.text, "expected 1 row, found 0"),
          "%s", no_row.text);
    text_free(&good);
    check_case("a summary that was edited, cut or is newer is refused by name");
}

static void folders_that_are_refused(void) {
    finished_run run;
    ls_error missing = {0}, unfinished = {0}, file = {0};
    mkdir("unfinished", 0777);
    CHECK(finished_run_read(&run, "missing", &missing) == LS_BAD_INPUT, "it was taken");
    CHECK(strstr(missing.text, "missing: expected the folder of a run"), "%s", missing.text);
    CHECK(finished_run_read(&run, "unfinished", &unfinished) == LS_BAD_INPUT, "it was taken");
    CHECK(strstr(unfinished.text, "unfinished: no summary.csv"), "%s", unfinished.text);
    CHECK(finished_run_read(&run, "a-file", &file) == LS_BAD_INPUT, "it was taken");
    CHECK(strstr(file.text, "a-file: expected the folder of a run, found a file"), "%s", file.text);
    check_case("a folder that is missing or unfinished is refused by name");
}

int main(void) {
    fixture_enter_folder();
    a_run_leaves_its_files();
    the_summary_comes_back();
    a_loader_that_was_too_slow();
    an_exchange_of_gradients();
    a_folder_that_will_not_do();
    a_disk_that_is_full();
    other_ranks_do_nothing();
    summaries_that_are_refused();
    folders_that_are_refused();
    fixture_leave_folder();
    return check_done();
}
