/* Which runs are compared, which are refused and how, and the tables of those that are. */
#include "check.h"
#include "report/comparable.h"
#include "report/speedup.h"
#include "report_fixture.h"

#include <stdlib.h>
#include <string.h>

enum { MOST = 4 };

/* Reads the named folders and compares them; the table goes to *out. */
static int compare(const char *const *folders, size_t count, table_format format, text_buffer *out,
                   ls_error *error) {
    finished_run runs[MOST] = {0};
    size_t read = 0, baseline = 0;
    scaling_kind scaling = SCALING_NONE;
    int status = LS_OK;
    while (status == LS_OK && read < count) {
        status = finished_run_read(&runs[read], folders[read], error);
        read += status == LS_OK;
    }
    if (status == LS_OK)
        status = comparable_check(runs, count, &baseline, &scaling, error);
    if (status == LS_OK)
        speedup_text(out, runs, count, baseline, scaling, format);
    while (read > 0)
        finished_run_free(&runs[--read]);
    return status;
}

static void write_run(const char *folder, const char *mode, int ranks, int batch_per_rank,
                      double seconds) {
    fixture made;
    ls_error error = {0};
    fixture_make(&made, mode, ranks, batch_per_rank, seconds);
    CHECK(fixture_write(&made, folder, &error) == LS_OK, "%s", error.text);
}

static void expect_refusal(const char *const *folders, size_t count, const char *expected) {
    ls_error error = {0};
    text_buffer out = {0};
    int status = compare(folders, count, TABLE_TEXT, &out, &error);
    CHECK(status == LS_BAD_INPUT, "status %d, expected a refusal with '%s'", status, expected);
    CHECK(strstr(error.text, expected), "expected '%s', found '%s'", expected, error.text);
    CHECK(out.length == 0, "a table was printed:\n%s", out.bytes);
    text_free(&out);
}

static void change_version(fixture *f) {
    strcpy(f->facts.version, "9.9.9");
}
static void change_libraries(fixture *f) {
    strcpy(f->facts.versions, "Open MPI 5, HDF5 1");
}
static void change_model(fixture *f) {
    strcpy(f->facts.model, "resnet18");
}
static void change_parameters(fixture *f) {
    f->facts.parameters = 11;
}
static void change_profile(fixture *f) {
    f->facts.profile_steps = 4;
}
static void change_precision(fixture *f) {
    strcpy(f->facts.precision, "bf16");
}
static void change_grad_comm(fixture *f) {
    strcpy(f->facts.grad_comm, "bf16");
}
static void change_device(fixture *f) {
    strcpy(f->facts.device, "ref");
}
static void change_library(fixture *f) {
    strcpy(f->facts.device_library, "a library 1.3");
}
static void change_device_name(fixture *f) {
    strcpy(f->ranks[1].device, "another CPU");
}
static void change_driver(fixture *f) {
    strcpy(f->ranks[0].gpu_uuid, "GPU-1");
    strcpy(f->ranks[0].driver, "580.1");
    strcpy(f->ranks[1].driver, "580.1");
}
static void change_graph(fixture *f) {
    strcpy(f->facts.graph, "no (--no-graph)");
    f->facts.no_graph = true;
}
static void change_threads(fixture *f) {
    f->ranks[1].threads = 1;
}
static void change_oversubscription(fixture *f) {
    f->facts.oversubscribed = true;
}
static void change_dataset(fixture *f) {
    strcpy(f->facts.dataset_id, "fedc");
}
static void change_train_images(fixture *f) {
    f->facts.train_images = 999;
}
static void change_test_images(fixture *f) {
    f->facts.test_images = 199;
}
static void change_epochs(fixture *f) {
    f->facts.epochs = 2;
}
static void change_images(fixture *f) {
    f->totals.images = 2999;
}
static void change_seed(fixture *f) {
    f->facts.seed = 8;
}
static void change_optimizer(fixture *f) {
    strcpy(f->facts.optimizer, "sgd");
}
static void change_learning_rate(fixture *f) {
    f->facts.learning_rate = 2e-3;
}
static void change_momentum(fixture *f) {
    f->facts.momentum = 0.9;
}
static void change_weight_decay(fixture *f) {
    f->facts.weight_decay = 1e-4;
}

static void every_difference_is_named(void) {
    static const struct {
        void (*change)(fixture *made);
        const char *expected;
    } cases[] = {
        {change_version, "lockstep's version is 0.0.0-test in single but 9.9.9 in other"},
        {change_libraries, "list of libraries is Open MPI 4, HDF5 1 in single but Open MPI 5, HDF5 "
                           "1 in other"},
        {change_model, "model is cnn in single but resnet18 in other"},
        {change_parameters, "number of parameters is 4275594 in single but 11 in other"},
        {change_profile, "number of profiled steps is not given in single but 4 in other"},
        {change_precision, "precision is fp32 in single but bf16 in other"},
        {change_grad_comm, "type of exchanged gradients is fp32 in single but bf16 in other"},
        {change_device, "device is cpu in single but ref in other"},
        {change_library, "device library is a library 1.2 in single but a library 1.3 in other"},
        {change_device_name, "set of devices is a CPU in single but a CPU;another CPU in other"},
        {change_driver, "set of GPU drivers is not given in single but 580.1 in other"},
        {change_graph, "use of a CUDA graph is not given in single but 0 in other"},
        {change_threads, "number of threads a rank is 2 in single but 1;2 in other"},
        {change_oversubscription, "oversubscription is 0 in single but 1 in other"},
        {change_dataset, "data set id is 0123456789abcdef in single but fedc in other"},
        {change_train_images, "number of images an epoch is 1000 in single but 999 in other"},
        {change_test_images, "number of test images is 200 in single but 199 in other"},
        {change_epochs, "number of epochs is 3 in single but 2 in other"},
        {change_images, "number of images trained on is 3000 in single but 2999 in other"},
        {change_seed, "seed is 7 in single but 8 in other"},
        {change_optimizer, "optimizer is adam in single but sgd in other"},
        {change_learning_rate, "learning rate is 0.001 in single but 0.002 in other"},
        {change_momentum, "momentum is not given in single but 0.9 in other"},
        {change_weight_decay, "weight decay is 0 in single but 0.0001 in other"},
    };
    static const char *const folders[] = {"other", "single", "ddp"};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        fixture made;
        ls_error error = {0};
        fixture_make(&made, "dp", 2, 64, 141);
        cases[index].change(&made);
        CHECK(fixture_write(&made, "other", &error) == LS_OK, "%s", error.text);
        expect_refusal(folders, 3, cases[index].expected);
        CHECK(system("rm -r other") == 0, "other stays");
    }
    check_case("every difference is refused, with both values and runs");
}

static void several_differences_stand_in_one_line(void) {
    fixture made;
    ls_error error = {0};
    fixture_make(&made, "dp", 2, 64, 141);
    change_precision(&made);
    change_epochs(&made);
    CHECK(fixture_write(&made, "both", &error) == LS_OK, "%s", error.text);
    static const char *const folders[] = {"single", "both"};
    expect_refusal(folders, 2,
                   "the runs cannot be compared: precision is fp32 in single but bf16 in both; "
                   "number of epochs is 3 in single but 2 in both");
    check_case("several differences stand in one line");
}

static void threads_do_not_matter_to_a_gpu(void) {
    ls_error error = {0};
    text_buffer out = {0};
    for (int ranks = 1; ranks <= 2; ranks++) {
        fixture made;
        fixture_make(&made, ranks == 1 ? "single" : "ddp", ranks, 64, 120.0 / ranks);
        strcpy(made.facts.device, "cuda");
        for (int rank = 0; rank < ranks; rank++) {
            strcpy(made.ranks[rank].device, "NVIDIA A100");
            made.ranks[rank].threads = ranks == 1 ? 16 : 8;
        }
        CHECK(fixture_write(&made, ranks == 1 ? "gpu1" : "gpu2", &error) == LS_OK, "%s",
              error.text);
    }
    static const char *const folders[] = {"gpu1", "gpu2"};
    CHECK(compare(folders, 2, TABLE_TEXT, &out, &error) == LS_OK, "%s", error.text);
    CHECK(out.bytes && strstr(out.bytes, "\n2 nodes, 2 x NVIDIA A100 (DDP)  "), "%s", out.bytes);
    CHECK(out.bytes && strstr(out.bytes, "\n1 node, 1 x NVIDIA A100 (single)  "), "%s", out.bytes);
    text_free(&out);
    check_case("a GPU is named; its host threads may differ");
}

static void a_baseline_without_mpi(void) {
    fixture made;
    ls_error error = {0};
    text_buffer out = {0};
    fixture_make(&made, "single", 1, 64, 120);
    strcpy(made.facts.versions, "HDF5 1");
    CHECK(fixture_write(&made, "alone", &error) == LS_OK, "%s", error.text);
    static const char *const folders[] = {"alone", "ddp"};
    CHECK(compare(folders, 2, TABLE_TEXT, &out, &error) == LS_OK, "%s", error.text);
    text_free(&out);
    strcpy(made.facts.versions, "HDF5 2");
    CHECK(system("rm -r alone") == 0, "alone stays");
    CHECK(fixture_write(&made, "alone", &error) == LS_OK, "%s", error.text);
    expect_refusal(folders, 2,
                   "list of libraries is HDF5 2 in alone but Open MPI 4, HDF5 1 in ddp");
    check_case("a run started alone names no MPI: the libraries of both decide");
}

static void baselines(void) {
    write_run("single2", "single", 1, 64, 121);
    static const char *const none[] = {"ddp", "dp"};
    static const char *const two[] = {"single", "ddp", "single2"};
    static const char *const twice[] = {"single", "ddp", "./ddp"};
    static const char *const copied[] = {"single", "ddp", "copy"};
    expect_refusal(none, 2,
                   "no baseline: expected one run with mode single, found mode ddp in ddp");
    expect_refusal(two, 3, "single and single2 both have mode single");
    expect_refusal(twice, 3, "ddp and ./ddp are the same run");
    CHECK(system("cp -r ddp copy") == 0, "no copy");
    expect_refusal(copied, 3, "ddp and copy are the same run");
    write_run("false-single", "single", 2, 64, 60);
    static const char *const parallel[] = {"false-single", "ddp"};
    expect_refusal(parallel, 2, "false-single: mode single with 2 ranks: expected 1");
    check_case("one baseline, and no run twice");
}

static void batches_that_fit_no_table(void) {
    static const char *const mixed[] = {"single", "ddp", "strong"};
    static const char *const neither[] = {"single", "bigger"};
    write_run("bigger", "ddp", 2, 128, 60);
    expect_refusal(mixed, 3,
                   "global batch is 64 in single but 128 in ddp; batch per rank is 64 in "
                   "single but 32 in strong");
    expect_refusal(neither, 2,
                   "global batch is 64 in single but 256 in bigger; batch per rank is "
                   "64 in single but 128 in bigger");
    check_case("weak and strong scaling in one table are refused");
}

static void expect_table(const char *const *folders, size_t count, table_format format,
                         const char *expected) {
    ls_error error = {0};
    text_buffer out = {0};
    CHECK(compare(folders, count, format, &out, &error) == LS_OK, "%s", error.text);
    CHECK(out.bytes && strcmp(out.bytes, expected) == 0, "found:\n%s",
          out.bytes ? out.bytes : "nothing");
    text_free(&out);
}

#define FACTS                                                                                      \
    "cnn, fp32, 3 epochs of 1000 images, data set 0123456789ab, seed 7, adam; device cpu: a CPU "  \
    "(a "                                                                                          \
    "library 1.2); lockstep 0.0.0-test\n\n"
#define NOTE                                                                                       \
    "The global batch is not the baseline's: with the same batch per rank, more ranks take fewer " \
    "steps an epoch. The ratio is weak scaling in the batch, not the same optimisation problem "   \
    "solved faster."

/* The table that the program exists to reproduce: 120 s, 65 s and 141 s. */
static void the_weak_table(void) {
    static const char *const folders[] = {"ddp", "single", "dp"};
    expect_table(
        folders, 3, TABLE_TEXT,
        "Weak scaling in the batch: 64 images a rank in every run [1]\n" FACTS
        "Configuration            Training time  Seconds    Speedup  Efficiency  Images/s  Global "
        "batch  Batch per rank  Steps  Test accuracy  Peak memory\n"
        "1 node, 1 rank (single)      2 min 0 s   119.96   baseline                  25.0          "
        "  "
        "64              64     48         50.00%     400.0 MB\n"
        "2 nodes, 2 ranks (DDP)       1 min 5 s    65.00  1.85x [1]       92.3%      46.2          "
        " "
        "128              64     24         50.00%     450.0 MB\n"
        "2 nodes, 2 ranks (DP)       2 min 21 s   141.00  0.85x [1]       42.5%      21.3          "
        " "
        "128              64     24         50.00%     450.0 MB\n"
        "\n[1] " NOTE "\n");
    expect_table(
        folders, 3, TABLE_CSV,
        "run,configuration,mode,nodes,ranks,device,rank_devices,training_seconds,training_time,"
        "baseline,speedup,parallel_efficiency,images_per_second,global_batch,batch_per_rank,steps,"
        "final_test_accuracy,peak_memory_maximum_bytes,scaling,note\n"
        "single,\"1 node, 1 rank (single)\",single,1,1,cpu,a CPU,119.96,2 min 0 s,1,1,1,25.0083361,"
        "64,64,48,0.5,400000000,weak,\n"
        "ddp,\"2 nodes, 2 ranks (DDP)\",ddp,2,2,cpu,a CPU;a CPU,65,1 min 5 s,0,1.84553846,"
        "0.922769231,46.1538462,128,64,24,0.5,450000000,weak,\"" NOTE "\"\n"
        "dp,\"2 nodes, 2 ranks (DP)\",dp,2,2,cpu,a CPU;a CPU,141,2 min 21 s,0,0.850780142,"
        "0.425390071,21.2765957,128,64,24,0.5,450000000,weak,\"" NOTE "\"\n");
    check_case("the weak table carries its footnote");
}

static void the_strong_table(void) {
    static const char *const folders[] = {"single", "strong", "ddp1"};
    write_run("ddp1", "ddp", 1, 64, 122);
    expect_table(
        folders, 3, TABLE_MARKDOWN,
        "**Strong scaling**: the global batch is 64 in every run\n\n" FACTS
        "| Configuration | Training time | Seconds | Speedup | Efficiency | Images/s | Global "
        "batch "
        "| Batch per rank | Steps | Test accuracy | Peak memory |\n"
        "|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n"
        "| 1 node, 1 rank (single) | 2 min 0 s | 119.96 | baseline |  | 25.0 | 64 | 64 | 48 | "
        "50.00% | 400.0 MB |\n"
        "| 2 nodes, 2 ranks (DDP) | 1 min 20 s | 80.00 | 1.50x | 75.0% | 37.5 | 64 | 32 | 48 | "
        "50.00% | 450.0 MB |\n"
        "| 1 node, 1 rank (DDP) | 2 min 2 s | 122.00 | 0.98x | 98.3% | 24.6 | 64 | 64 | 48 | "
        "50.00% "
        "| 400.0 MB |\n");
    static const char *const alone[] = {"single"};
    text_buffer out = {0};
    ls_error error = {0};
    CHECK(compare(alone, 1, TABLE_TEXT, &out, &error) == LS_OK, "%s", error.text);
    CHECK(out.bytes && strncmp(out.bytes, "One run: nothing to compare it with\n", 36) == 0, "%s",
          out.bytes);
    text_free(&out);
    check_case("the strong table has no footnote");
}

static void one_epoch(void) {
    static const char *const alone[] = {"short"};
    fixture made;
    text_buffer out = {0};
    ls_error error = {0};
    fixture_make(&made, "single", 1, 64, 40);
    made.facts.epochs = 1;
    CHECK(fixture_write(&made, "short", &error) == LS_OK, "%s", error.text);
    CHECK(compare(alone, 1, TABLE_TEXT, &out, &error) == LS_OK, "%s", error.text);
    CHECK(out.bytes && strstr(out.bytes, "fp32, 1 epoch of 1000 images"), "%s", out.bytes);
    text_free(&out);
    check_case("one epoch is not several");
}

int main(void) {
    fixture_enter_folder();
    write_run("single", "single", 1, 64, 119.96);
    write_run("ddp", "ddp", 2, 64, 65);
    write_run("dp", "dp", 2, 64, 141);
    write_run("strong", "ddp", 2, 32, 80);
    every_difference_is_named();
    several_differences_stand_in_one_line();
    threads_do_not_matter_to_a_gpu();
    a_baseline_without_mpi();
    baselines();
    batches_that_fit_no_table();
    the_weak_table();
    the_strong_table();
    one_epoch();
    fixture_leave_folder();
    return check_done();
}
