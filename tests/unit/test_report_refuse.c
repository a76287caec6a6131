/* Which runs are refused and how, and what --allow makes of them. */
#include "check.h"
#include "report/comparable.h"
#include "report_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void write_run(const char *folder, const char *mode, int ranks, int batch_per_rank,
                      double seconds) {
    fixture made;
    ls_error error = {0};
    fixture_make(&made, mode, ranks, batch_per_rank, seconds);
    CHECK(fixture_write(&made, folder, &error) == LS_OK, "%s", error.text);
}

/* One line, and no speedup of what it is about: its row begins with `row`. */
static void expect_refusal(const char *const *folders, size_t count, const char *expected,
                           const char *row) {
    text_buffer out = {0}, lines = {0};
    int status = fixture_report(NULL, folders, count, TABLE_TEXT, &out, &lines);
    const char *found = lines.bytes ? lines.bytes : "";
    CHECK(status == LS_BAD_INPUT, "status %d, expected a refusal with '%s'", status, expected);
    CHECK(strstr(found, expected), "expected '%s', found '%s'", expected, found);
    CHECK(*found && strchr(found, '\n') == found + strlen(found) - 1, "not one line: %s", found);
    CHECK(!out.bytes || !strstr(out.bytes, row), "a row was printed:\n%s", out.bytes);
    text_free(&out);
    text_free(&lines);
}

/* The row stands in a table, with a footnote that says what differs. */
static void expect_footnote(const char *allow, const char *const *folders, size_t count,
                            const char *expected, const char *row) {
    text_buffer out = {0}, lines = {0};
    int status = fixture_report(allow, folders, count, TABLE_TEXT, &out, &lines);
    CHECK(status == LS_OK, "status %d with --allow %s: %s", status, allow, lines.bytes);
    const char *found = out.bytes ? out.bytes : "";
    const char *note = strstr(found, "] By --allow it stands here though ");
    CHECK(strstr(found, row), "no row '%s' in:\n%s", row, found);
    CHECK(note && strstr(note, expected), "no footnote '%s' in:\n%s", expected, found);
    text_free(&out);
    text_free(&lines);
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

static void change_program(fixture *f) {
    strcpy(f->facts.program_hash, "another");
}
static void change_augmentation(fixture *f) {
    strcpy(f->facts.augment, "crop-flip");
}
static void change_warmup(fixture *f) {
    strcpy(f->facts.warmup_rule, "none");
}

static void every_difference_is_named(void) {
    static const struct {
        void (*change)(fixture *made);
        const char *allow, *expected;
    } cases[] = {
        {change_version, "version",
         "lockstep's version is 0.0.0-test in single but 9.9.9 in other"},
        {change_program, "version",
         "hash of the program is fedcba9876543210 in single but another in other"},
        {change_libraries, "libraries",
         "list of libraries is Open MPI 4, HDF5 1 in single but Open MPI 5, HDF5 1 in other"},
        {change_model, "model", "model is cnn in single but resnet18 in other"},
        {change_parameters, "model", "number of parameters is 4275594 in single but 11 in other"},
        {change_profile, "profile",
         "number of profiled steps is not given in single but 4 in other"},
        {change_precision, "precision", "precision is fp32 in single but bf16 in other"},
        {change_grad_comm, "grad-comm",
         "type of exchanged gradients is fp32 in single but bf16 in other"},
        {change_device, "device", "device is cpu in single but ref in other"},
        {change_library, "device",
         "device library is a library 1.2 in single but a library 1.3 in other"},
        {change_device_name, "device",
         "set of devices is a CPU in single but a CPU;another CPU in other"},
        {change_driver, "device", "set of GPU drivers is not given in single but 580.1 in other"},
        {change_graph, "graph", "use of a CUDA graph is not given in single but 0 in other"},
        {change_threads, "threads", "number of threads a rank is 2 in single but 1;2 in other"},
        {change_oversubscription, "oversubscription",
         "oversubscription is 0 in single but 1 in other"},
        {change_dataset, "data", "data set id is 0123456789abcdef in single but fedc in other"},
        {change_train_images, "images",
         "number of images an epoch is 1000 in single but 999 in other"},
        {change_test_images, "images", "number of test images is 200 in single but 199 in other"},
        {change_epochs, "epochs", "number of epochs is 3 in single but 2 in other"},
        {change_images, "epochs",
         "number of images trained on is 3000 in single but 2999 in other"},
        {change_augmentation, "augmentation",
         "augmentation is none in single but crop-flip in other"},
        {change_seed, "seeds", "set of seeds is 7 in single but 8 in other"},
        {change_optimizer, "optimizer", "optimizer is adam in single but sgd in other"},
        {change_learning_rate, "optimizer", "learning rate is 0.001 in single but 0.002 in other"},
        {change_momentum, "optimizer", "momentum is not given in single but 0.9 in other"},
        {change_weight_decay, "optimizer", "weight decay is 0 in single but 0.0001 in other"},
        {change_warmup, "warm-up",
         "warm-up rule is 2 steps of each batch size in single but none in other"},
    };
    static const char *const folders[] = {"other", "single", "ddp"};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        fixture made;
        ls_error error = {0};
        fixture_make(&made, "dp", 2, 64, 141);
        cases[index].change(&made);
        CHECK(fixture_write(&made, "other", &error) == LS_OK, "%s", error.text);
        expect_refusal(folders, 3, cases[index].expected, "(DP)");
        expect_footnote(cases[index].allow, folders, 3, cases[index].expected, "(DP)");
        CHECK(system("rm -r other") == 0, "other stays");
    }
    check_case("every difference is refused, with both values and runs, and by --allow a footnote");
}

static void several_differences_stand_in_one_line(void) {
    fixture made;
    ls_error error = {0};
    fixture_make(&made, "dp", 2, 64, 141);
    change_precision(&made);
    change_epochs(&made);
    CHECK(fixture_write(&made, "both", &error) == LS_OK, "%s", error.text);
    static const char *const folders[] = {"single", "both"};
    static const char both[] = "precision is fp32 in single but bf16 in both; "
                               "number of epochs is 3 in single but 2 in both";
    expect_refusal(folders, 2, both, "(DP)");
    expect_refusal(folders, 2, "or --allow precision,epochs:", "(DP)");
    expect_footnote("precision,epochs", folders, 2, both, "(DP)");
    text_buffer out = {0}, lines = {0};
    CHECK(fixture_report("epochs", folders, 2, TABLE_TEXT, &out, &lines) == LS_BAD_INPUT, "taken");
    CHECK(lines.bytes && !strstr(lines.bytes, "epochs is"), "%s", lines.bytes);
    CHECK(lines.bytes && strstr(lines.bytes, "precision is"), "%s", lines.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("several differences stand in one line");
}

static void threads_do_not_matter_to_a_gpu(void) {
    ls_error error = {0};
    text_buffer out = {0}, lines = {0};
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
    CHECK(fixture_report(NULL, folders, 2, TABLE_TEXT, &out, &lines) == LS_OK, "%s", lines.bytes);
    CHECK(out.bytes && strstr(out.bytes, "\n2 nodes, 2 x NVIDIA A100 (DDP)  "), "%s", out.bytes);
    CHECK(out.bytes && strstr(out.bytes, "\n1 node, 1 x NVIDIA A100 (single)  "), "%s", out.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("a GPU is named; its host threads may differ");
}

static void a_baseline_without_mpi(void) {
    fixture made;
    ls_error error = {0};
    text_buffer out = {0}, lines = {0};
    fixture_make(&made, "single", 1, 64, 120);
    strcpy(made.facts.versions, "HDF5 1");
    CHECK(fixture_write(&made, "alone", &error) == LS_OK, "%s", error.text);
    static const char *const folders[] = {"alone", "ddp"};
    CHECK(fixture_report(NULL, folders, 2, TABLE_TEXT, &out, &lines) == LS_OK, "%s", lines.bytes);
    text_free(&out);
    text_free(&lines);
    strcpy(made.facts.versions, "HDF5 2");
    CHECK(system("rm -r alone") == 0, "alone stays");
    CHECK(fixture_write(&made, "alone", &error) == LS_OK, "%s", error.text);
    expect_refusal(folders, 2, "list of libraries is HDF5 2 in alone but Open MPI 4, HDF5 1 in ddp",
                   "(DDP)");
    check_case("a run started alone names no MPI: the libraries of both decide");
}

static void baselines(void) {
    static const char *const none[] = {"ddp", "dp"};
    static const char *const twice[] = {"single", "ddp", "./ddp"};
    static const char *const copied[] = {"single", "ddp", "copy"};
    expect_refusal(none, 2, "no baseline: expected a run with mode single, found mode ddp in ddp",
                   "(");
    expect_refusal(twice, 3, "ddp and ./ddp are the same run", "   2  ");
    CHECK(system("cp -r ddp copy") == 0, "no copy");
    expect_refusal(copied, 3, "ddp and copy are the same run", "   2  ");
    write_run("false-single", "single", 2, 64, 60);
    static const char *const parallel[] = {"single", "false-single", "ddp"};
    expect_refusal(parallel, 3, "false-single: mode single with 2 ranks: expected 1",
                   "2 ranks (single");
    fixture made;
    ls_error error = {0};
    fixture_make(&made, "single", 1, 64, 50);
    change_precision(&made);
    CHECK(fixture_write(&made, "low", &error) == LS_OK, "%s", error.text);
    static const char *const two[] = {"low", "ddp", "single"};
    expect_refusal(two, 3, "precision is fp32 in single but bf16 in low", "precision bf16");
    expect_footnote("precision", two, 3, "precision is fp32 in single but bf16 in low",
                    "\n1 node, 1 rank (single; precision bf16)  ");
    check_case("a baseline, no run twice, and a second baseline is compared as others are");
}

static void batches_that_fit_no_table(void) {
    static const char *const neither[] = {"single", "bigger"};
    static const char differs[] = "global batch is 64 in single but 256 in bigger; batch per rank "
                                  "is 64 in single but 128 in bigger";
    write_run("bigger", "ddp", 2, 128, 60);
    expect_refusal(neither, 2, differs, "(DDP)");
    expect_footnote("batch", neither, 2, differs, "(DDP)");
    text_buffer out = {0}, lines = {0};
    fixture_report("batch", neither, 2, TABLE_TEXT, &out, &lines);
    CHECK(out.bytes && strncmp(out.bytes, "Unlike batches: neither strong nor weak", 39) == 0, "%s",
          out.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("a batch that is neither strong nor weak scaling is refused");
}

/* Clocks of every run that is compared, not of the first of a configuration. */
static void throttled_clocks(void) {
    static const char *const names[] = {"cool-1", "cool-2", "hot-1", "hot-2"};
    ls_error error = {0};
    for (int index = 0; index < 4; index++) {
        fixture made;
        bool ddp = index >= 2;
        fixture_make(&made, ddp ? "ddp" : "single", ddp ? 2 : 1, 64, (ddp ? 65 : 120) + index);
        fixture_on_gpus(&made);
        for (int rank = 0; rank < made.facts.ranks; rank++) {
            made.usage[rank].gpu.throttle_known = true;
            made.usage[rank].gpu.throttle_reasons = index == 3 ? 0x44 : 0;
        }
        CHECK(fixture_write(&made, names[index], &error) == LS_OK, "%s", error.text);
    }
    static const char differs[] = "throttled clocks are none in cool-1 but power cap, thermal "
                                  "(hardware) in hot-2";
    expect_refusal(names, 4, differs, "(DDP)");
    expect_footnote("throttling", names, 4, differs, "(DDP)");
    check_case("one throttled run among others is named");
}

static void seeds_are_a_set(void) {
    static const char *const names[] = {"s1", "s2", "d1", "d2"};
    ls_error error = {0};
    for (int index = 0; index < 4; index++) {
        fixture made;
        bool ddp = index >= 2;
        fixture_make(&made, ddp ? "ddp" : "single", ddp ? 2 : 1, 64, (ddp ? 65 : 120) + index);
        made.facts.seed = 1 + (ddp ? 3 - index : index); /* 1, 2, then 2, 1 */
        CHECK(fixture_write(&made, names[index], &error) == LS_OK, "%s", error.text);
    }
    text_buffer out = {0}, lines = {0};
    CHECK(fixture_report(NULL, names, 4, TABLE_TEXT, &out, &lines) == LS_OK, "%s", lines.bytes);
    CHECK(out.bytes && strstr(out.bytes, "seeds 1;2, adam"), "%s", out.bytes);
    text_free(&out);
    text_free(&lines);
    fixture made;
    fixture_make(&made, "dp", 2, 64, 66);
    made.facts.seed = 1;
    CHECK(fixture_write(&made, "d3", &error) == LS_OK, "%s", error.text);
    static const char *const other[] = {"s1", "s2", "d3"};
    CHECK(fixture_report(NULL, other, 3, TABLE_TEXT, &out, &lines) == LS_BAD_INPUT, "taken");
    CHECK(lines.bytes &&
              strstr(lines.bytes, "set of seeds is 1;2 in s1 (and 1 repeat) but 1 in d3"),
          "%s", lines.bytes);
    text_free(&out);
    text_free(&lines);
    check_case("seeds are compared as a set over the repeats");
}

static void names_of_allow(void) {
    ls_error error = {0}, empty = {0}, unknown = {0};
    CHECK(allow_check("precision,batch,repeats", &error) == LS_OK, "%s", error.text);
    CHECK(allow_check(NULL, &error) == LS_OK, "%s", error.text);
    CHECK(allow_check("precision,,epochs", &empty) == LS_BAD_INPUT, "an empty name is taken");
    CHECK(allow_check("precision,ablate", &unknown) == LS_BAD_INPUT, "--ablate can be allowed");
    CHECK(strstr(unknown.text, "--allow: expected some of version, ") &&
              strstr(unknown.text, "found 'ablate'"),
          "%s", unknown.text);
    check_case("--allow takes the names that it lists");
}

int main(void) {
    fixture_enter_folder();
    write_run("single", "single", 1, 64, 119.96);
    write_run("ddp", "ddp", 2, 64, 65);
    write_run("dp", "dp", 2, 64, 141);
    every_difference_is_named();
    several_differences_stand_in_one_line();
    threads_do_not_matter_to_a_gpu();
    a_baseline_without_mpi();
    baselines();
    batches_that_fit_no_table();
    throttled_clocks();
    seeds_are_a_set();
    names_of_allow();
    fixture_leave_folder();
    return check_done();
}
