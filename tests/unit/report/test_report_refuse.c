/* Which runs are refused and how, and what --allow makes of them. */
#include "../check.h"
#include "report/read/allow.h"
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
    int status = fixture_report(NULL, 0, folders, count, TABLE_TEXT, &out, &lines);
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
    int status = fixture_report(allow, 0, folders, count, TABLE_TEXT, &out, &lines);
    CHECK(status == LS_OK, "status %d with --allow %s: %s", status, allow, lines.bytes);
    const char *found = out.bytes ? out.bytes : "";
    const char *note = strstr(found, "] By --allow it stands here though ");
    CHECK(strstr(found, row), "no row '%s' in:\n%s", row, found);
    CHECK(note && strstr(note, expected), "no footnote '%s' in:\n%s", expected, found);
    text_free(&out);
    text_free(&lines);
}

static void every_difference_is_named(void) {
    static const char *const folders[] = {"other", "single", "ddp"};
    for (const fixture_change *each = fixture_changes; each->change; each++) {
        fixture made;
        ls_error error = {0};
        fixture_make(&made, "dp", 2, 64, 141);
        each->change(&made);
        CHECK(fixture_write(&made, "other", &error) == LS_OK, "%s", error.text);
        expect_refusal(folders, 3, each->expected, "(DP)");
        expect_footnote(each->allow, folders, 3, each->expected, "(DP)");
        CHECK(system("rm -r other") == 0, "other stays");
    }
    check_case("every difference is refused, with both values and runs, and by --allow a footnote");
}

static void several_differences_stand_in_one_line(void) {
    fixture made;
    ls_error error = {0};
    fixture_make(&made, "dp", 2, 64, 141);
    made.facts.precision = "bf16";
    made.facts.epochs = 2;
    CHECK(fixture_write(&made, "both", &error) == LS_OK, "%s", error.text);
    static const char *const folders[] = {"single", "both"};
    static const char both[] = "precision is fp32 in single but bf16 in both; "
                               "number of epochs is 3 in single but 2 in both";
    expect_refusal(folders, 2, both, "(DP)");
    expect_refusal(folders, 2, "or --allow precision,epochs:", "(DP)");
    expect_footnote("precision,epochs", folders, 2, both, "(DP)");
    text_buffer out = {0}, lines = {0};
    CHECK(fixture_report("epochs", 0, folders, 2, TABLE_TEXT, &out, &lines) == LS_BAD_INPUT,
          "taken");
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
        made.facts.device = "cuda";
        for (int rank = 0; rank < ranks; rank++) {
            strcpy(made.ranks[rank].device, "NVIDIA A100");
            made.ranks[rank].threads = ranks == 1 ? 16 : 8;
        }
        CHECK(fixture_write(&made, ranks == 1 ? "gpu1" : "gpu2", &error) == LS_OK, "%s",
              error.text);
    }
    static const char *const folders[] = {"gpu1", "gpu2"};
    CHECK(fixture_report(NULL, 0, folders, 2, TABLE_TEXT, &out, &lines) == LS_OK, "%s",
          lines.bytes);
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
    made.facts.libraries = "HDF5 1";
    CHECK(fixture_write(&made, "alone", &error) == LS_OK, "%s", error.text);
    static const char *const folders[] = {"alone", "ddp"};
    CHECK(fixture_report(NULL, 0, folders, 2, TABLE_TEXT, &out, &lines) == LS_OK, "%s",
          lines.bytes);
    text_free(&out);
    text_free(&lines);
    made.facts.libraries = "HDF5 2";
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
    made.facts.precision = "bf16";
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
    fixture_report("batch", 0, neither, 2, TABLE_TEXT, &out, &lines);
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
    CHECK(fixture_report(NULL, 0, names, 4, TABLE_TEXT, &out, &lines) == LS_OK, "%s", lines.bytes);
    CHECK(out.bytes && strstr(out.bytes, "seeds 1;2, adam"), "%s", out.bytes);
    text_free(&out);
    text_free(&lines);
    fixture made;
    fixture_make(&made, "dp", 2, 64, 66);
    made.facts.seed = 1;
    CHECK(fixture_write(&made, "d3", &error) == LS_OK, "%s", error.text);
    static const char *const other[] = {"s1", "s2", "d3"};
    CHECK(fixture_report(NULL, 0, other, 3, TABLE_TEXT, &out, &lines) == LS_BAD_INPUT, "taken");
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
