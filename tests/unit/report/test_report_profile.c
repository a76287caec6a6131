/* What a profile leaves: layers.csv, its table, trace.json; and runs with --ablate, which no report
 * takes. */
#include "../check.h"
#include "report/read/finished_run.h"
#include "report/run/run_text.h"
#include "report/text/number.h"
#include "report_fixture.h"

#include <math.h>
#include <string.h>

static const layer_row rows[] = {
    {.layer = "", .phase = LAYER_DATA, .seconds = 0.25e-3, .bytes = 1000, .floor_seconds = 1e-6},
    {.layer = "fc,1",
     .kind = "linear",
     .phase = LAYER_FORWARD,
     .seconds = 1e-3,
     .flop = 123456789012.0,
     .bytes = 2e6,
     .floor_seconds = 0.5e-3},
    {.layer = "fc,1",
     .kind = "linear",
     .phase = LAYER_BACKWARD_WEIGHTS,
     .seconds = 2e-3,
     .flop = 4e6,
     .bytes = 8e6,
     .floor_seconds = 1e-3,
     .gradient_first = 7,
     .gradient_count = 99,
     .in_features = 10,
     .out_features = 9},
    {.layer = "",
     .phase = LAYER_OTHER,
     .seconds = 0.5e-3,
     .flop = NAN,
     .bytes = NAN,
     .floor_seconds = NAN},
};

static const span spans[] = {
    {.name = "step", .row = ROW_COMPUTE, .begin = 0, .end = 4e-6},
    {.name = "a \"b\\", .row = ROW_COMPUTE, .depth = 1, .begin = 1e-6, .end = 2.0005e-6},
    {.name = "allreduce", .row = ROW_COMMUNICATION, .bytes = 64, .begin = 1e-6, .end = 3e-6},
    {.name = "allreduce", .row = ROW_COMMUNICATION, .bytes = 32, .begin = 2e-6, .end = 4e-6},
    {.name = "allreduce", .row = ROW_COMMUNICATION, .bytes = 16, .begin = 3e-6, .end = 5e-6},
    {.name = "gather", .rank = 1, .row = ROW_LOADER, .step = 2, .begin = 1e-3, .end = 2e-3},
};

static const run_profile profile = {.spans = spans,
                                    .span_count = sizeof spans / sizeof spans[0],
                                    .lost = 3,
                                    .uncertainty_seconds = 2.5e-6,
                                    .rows = rows,
                                    .row_count = sizeof rows / sizeof rows[0],
                                    .rates = {2e11, 1e10, 5, 3.75e-3},
                                    .eager = true};

static void expect_parts(const char *path, const char *const *parts, size_t count) {
    text_buffer found = fixture_read(path);
    for (size_t index = 0; index < count; index++)
        CHECK(strstr(found.bytes, parts[index]), "'%s' is not in:\n%s", parts[index], found.bytes);
    text_free(&found);
}

static void profile_is_written(void) {
    fixture made;
    ls_error error = {0};
    fixture_make(&made, "ddp", 2, 64, 10);
    made.facts.profile_steps = 5;
    made.profile = &profile;
    CHECK(fixture_write(&made, "profiled", &error) == LS_OK, "%s", error.text);
    text_buffer csv = fixture_read("profiled/layers.csv");
    CHECK(strcmp(csv.bytes,
                 "order,layer,phase,seconds,flop,bytes,floor_seconds,gradient_first,"
                 "gradient_count,kind,in_features,out_features\n"
                 "1,,data,0.00025,0,1000,1e-06,0,0,,,\n"
                 "2,\"fc,1\",forward,0.001,123456789012,2000000,0.0005,0,0,linear,,\n"
                 "3,\"fc,1\",backward_weights,0.002,4000000,8000000,0.001,7,99,linear,10,"
                 "9\n"
                 "4,,other,0.0005,,,,0,0,,,\n") == 0,
          "layers.csv holds:\n%s", csv.bytes);
    text_free(&csv);
    static const char *const log[] = {
        "fc,1   backward_weights  2000.0    53.3%", "sum                      3750.0   100.0%",
        "rank 0, medians of 5 profiled steps of 3750.0 us each",
        "FLOP at 200.0 GFLOP/s (a large matrix product) and bytes at 10.00 GB/s",
        "5 steps in trace.json, 6 spans, 3 more for which there was no room; clocks of the ranks "
        "aligned at barriers, within 2.5 us; these steps were launched one call at a time, each "
        "range "
        "between two events and the update at the end, the others as a CUDA graph: their rows say "
        "how a step divides and are no measure of the whole"};
    expect_parts("profiled/log.txt", log, sizeof log / sizeof log[0]);
    check_case("layers.csv and the table of a profile");
}

/* tests/trace reads whole files with a JSON parser. */
static void trace_is_written(void) {
    static const char *const parts[] = {
        "{\"displayTimeUnit\":\"ms\"",
        "\"command\":\"lockstep train --data \\\"a, b\\\"\"",
        "{\"ph\":\"X\",\"name\":\"step\",\"cat\":\"step\",\"pid\":0,\"tid\":0,\"ts\":0.000,\"dur\":"
        "4.000,\"args\":{\"step\":0}}",
        "\"name\":\"a \\\"b\\\\\",",
        /* two at once, so a second lane; the third finds the first one free */
        "\"tid\":2,\"ts\":1.000,\"dur\":2.000,\"args\":{\"step\":0,\"bytes\":64}}",
        "\"tid\":3,\"ts\":2.000,\"dur\":2.000,\"args\":{\"step\":0,\"bytes\":32}}",
        "\"tid\":2,\"ts\":3.000,\"dur\":2.000,\"args\":{\"step\":0,\"bytes\":16}}",
        "\"pid\":1,\"tid\":1,\"ts\":1000.000,\"dur\":1000.000,\"args\":{\"step\":2}}",
        "{\"ph\":\"M\",\"name\":\"process_name\",\"pid\":1,\"tid\":0,\"args\":{\"name\":\"rank 1 "
        "(node2, a CPU)\"}}",
        "{\"name\":\"collectives 2\"}",
        "{\"name\":\"loader thread\"}",
    };
    expect_parts("profiled/trace.json", parts, sizeof parts / sizeof parts[0]);
    check_case("trace.json: names are quoted, collectives that overlap have lanes of their own");
}

static void ablated_runs_are_no_results(void) {
    static const char *const kinds[] = {"comm", "data", "compute"};
    for (int index = 0; index < 3; index++) {
        fixture made;
        finished_run read;
        ls_error error = {0};
        char expected[64];
        fixture_make(&made, "ddp", 2, 64, 10);
        made.facts.ablate = kinds[index];
        CHECK(fixture_write(&made, kinds[index], &error) == LS_OK, "%s", error.text);
        const char *const marks[] = {"ABLATED ", ablated_text(&made.facts), "this is no training"};
        expect_parts(fixture_stdout, marks, 3);
        snprintf(expected, sizeof expected, "%s: a run with --ablate %s is no training",
                 kinds[index], kinds[index]);
        CHECK(finished_run_read(&read, kinds[index], &error) == LS_BAD_INPUT, "it was taken");
        CHECK(strstr(error.text, expected), "expected '%s', found '%s'", expected, error.text);
    }
    check_case("a run with --ablate is marked, and refused when it is read back");
}

int main(void) {
    fixture_enter_folder();
    profile_is_written();
    trace_is_written();
    ablated_runs_are_no_results();
    fixture_leave_folder();
    return check_done();
}
