/* ranks.csv there and back, what is wrong with one that was changed, and the verdict about ranks
 * that are steadily slow. */
#include "report/facts/pace.h"
#include "report/facts/throttle.h"
#include "report/read/finished_run.h"
#include "report/run/ranks_csv.h"
#include "report/run/straggler.h"

#include "../check.h"
#include "report_fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RANKS = 3, EPOCHS = 3 };

static rank_epoch times[EPOCHS][RANKS], sums[RANKS];

/* `slow`: this rank takes 25% longer in 9 of 10 steps, and the others wait for it. */
static void make_times(int slow) {
    memset(sums, 0, sizeof sums);
    for (int index = 0; index < EPOCHS * RANKS; index++) {
        int rank = index % RANKS;
        bool late = rank == slow;
        rank_epoch *at = &times[index / RANKS][rank];
        *at = (rank_epoch){
            .seconds = 40,
            .phases = {2, 8 + 2 * late, 18 + 4 * late, slow < 0 ? 6 : 9 - 6 * late, 3, 1},
            .pace = {40, late ? 36 : 15, late ? 36 : 5, late ? 37.5 : 30, 30},
            .clocks = {late ? 1.2e9 : 1.8e9, true, late ? 0x44 : 0}};
        at->phases.waiting = slow < 0 ? 2 : late ? 0 : 6;
        rank_epoch_add(&sums[rank], at);
    }
}

static void write_run(fixture *made, const char *folder) {
    ls_error error = {0};
    double waiting = 0;
    for (int epoch = 0; epoch < EPOCHS; epoch++) {
        made->epochs[epoch].ranks = times[epoch];
        made->epochs[epoch].phases.waiting = 0;
        for (int rank = 0; rank < RANKS; rank++)
            made->epochs[epoch].phases.waiting += times[epoch][rank].phases.waiting / RANKS;
        waiting += made->epochs[epoch].phases.waiting;
    }
    made->totals.phases.waiting = waiting;
    made->totals.ranks = sums;
    CHECK(fixture_write(made, folder, &error) == LS_OK, "%s", error.text);
}

static const char *printed(const char *part) {
    static char line[1024];
    text_buffer out = fixture_read(fixture_stdout);
    const char *found = strstr(out.bytes, part);
    snprintf(line, sizeof line, "%.*s", found ? (int)strcspn(found, "\n") : 0, found ? found : "");
    text_free(&out);
    return line;
}

static void there_and_back(void) {
    fixture made;
    finished_run run;
    ls_error error = {0};
    make_times(1);
    fixture_make(&made, "ddp", RANKS, 64, 120);
    fixture_on_gpus(&made);
    write_run(&made, "slow");
    CHECK(finished_run_read(&run, "slow", &error) == LS_OK, "%s", error.text);
    const finished_ranks *ranks = run.ranks;
    CHECK(ranks && ranks->count == RANKS, " ");
    for (int rank = 0; rank < RANKS && ranks; rank++) {
        const rank_epoch *at = &ranks->sums[rank], *wanted = &sums[rank];
        CHECK(memcmp(&at->pace, &wanted->pace, sizeof at->pace) == 0, "rank %d", rank);
        CHECK(fabs(at->phases.communication - wanted->phases.communication) < 1e-9 &&
                  at->phases.waiting == wanted->phases.waiting &&
                  at->phases.backward == wanted->phases.backward && at->seconds == 120,
              "rank %d", rank);
        CHECK(at->clocks.sm_clock_hertz == wanted->clocks.sm_clock_hertz &&
                  at->clocks.throttle_reasons == wanted->clocks.throttle_reasons,
              "rank %d: %g", rank, at->clocks.sm_clock_hertz);
        CHECK(strcmp(ranks->facts[rank].host, made.ranks[rank].host) == 0, " ");
        CHECK(strcmp(ranks->facts[rank].gpu_uuid, made.ranks[rank].gpu_uuid) == 0, " ");
    }
    CHECK(strcmp(finished_run_text(&run, "waiting_seconds"), "12") == 0 &&
              strcmp(finished_run_text(&run, "straggler_ranks"), "1") == 0 &&
              strcmp(finished_run_text(&run, "straggler_excess"), "0.25") == 0 &&
              strcmp(finished_run_text(&run, "straggler_cost_seconds"), "18") == 0,
          "%s %s %s", finished_run_text(&run, "waiting_seconds"),
          finished_run_text(&run, "straggler_excess"),
          finished_run_text(&run, "straggler_cost_seconds"));
    finished_run_free(&run);
    check_case("ranks.csv there and back");

    const char *line = printed("rank 1 on host");
    CHECK(strcmp(line, "rank 1 on host node2 (a GPU, GPU ...0000abc1) is steadily slow: busy 25.0% "
                       "longer than the other ranks' median, longer in 90.0% of 120 timed steps; "
                       "SM clock 1200 MHz, of the others 1800 MHz; clocks held back by: power cap, "
                       "thermal (hardware); waiting for it costs 15.0% of the training time") == 0,
          "%s", line);
    CHECK(printed("rank 0 on host")[0] == '\0' && printed("rank 2 on host")[0] == '\0', " ");
    line = printed("  waiting for the slowest rank");
    CHECK(strstr(line, "  12.000  10.0%"), "%s", line);
    check_case("the closing table names the slow rank, its host, device, clock and reasons");

    make_times(-1);
    fixture_make(&made, "ddp", RANKS, 64, 120);
    write_run(&made, "even");
    CHECK(printed("steadily slow")[0] == '\0', " ");
    check_case("no verdict where nobody is slow");
}

static void the_verdict(void) {
    static const struct {
        rank_pace pace;
        bool wanted;
        const char *why;
    } cases[] = {
        {{100, 80, 50, 0, 0}, true, "both limits"},
        {{100, 79, 79, 0, 0}, false, "not in 80% of the steps"},
        {{100, 100, 49, 0, 0}, false, "by less than 5% in most"},
        {{20, 20, 20, 0, 0}, true, "the fewest steps"},
        {{19, 19, 19, 0, 0}, false, "too few steps"},
        {{0, 0, 0, 0, 0}, false, "not compared"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++)
        CHECK(is_straggler(&cases[index].pace) == cases[index].wanted, "%s", cases[index].why);
    rank_epoch ranks[4] = {{.pace = {100, 90, 90, 1, 1}, .phases.waiting = 1},
                           {.phases.waiting = 5},
                           {.pace = {100, 90, 90, 1, 1}, .phases.waiting = 2},
                           {.phases.waiting = 4}};
    CHECK(straggler_cost_seconds(ranks, 4) == 4, "%g", straggler_cost_seconds(ranks, 4));
    CHECK(isnan(straggler_cost_seconds(ranks + 1, 1)), " ");
    check_case("who is steadily slow, and what the others' waiting costs at least");
}

static void reasons(void) {
    static const uint64_t sets[] = {0, 0x04, 0x44, 0xec};
    uint64_t back;
    for (size_t index = 0; index < sizeof sets / sizeof sets[0]; index++) {
        text_buffer text = {0};
        throttle_text(&text, sets[index]);
        CHECK(throttle_parse(text.bytes, &back) && back == sets[index], "%s", text.bytes);
        text_free(&text);
    }
    CHECK(throttle_parse("", &back) && back == 0, " ");
    CHECK(!throttle_parse("power cap,", &back) && !throttle_parse("heat", &back), " ");
    check_case("reasons for lower clocks there and back");
}

/* The file with the first `from` replaced; NULL: it is gone. */
static void damage(const char *from, const char *to) {
    text_buffer text = fixture_read("slow/ranks.csv"), out = {0};
    const char *at = from ? strstr(text.bytes, from) : NULL;
    CHECK(!from || at, "'%s' is not in it", from);
    mkdir("damaged", 0777);
    text_buffer summary = fixture_read("slow/summary.csv");
    FILE *file = fopen("damaged/summary.csv", "we");
    fwrite(summary.bytes, 1, summary.length, file);
    fclose(file);
    unlink("damaged/ranks.csv");
    if (at) {
        text_add_bytes(&out, text.bytes, (size_t)(at - text.bytes));
        text_add(&out, "%s%s", to, at + strlen(from));
        file = fopen("damaged/ranks.csv", "we");
        fwrite(out.bytes, 1, out.length, file);
        fclose(file);
    }
    text_free(&summary);
    text_free(&text);
    text_free(&out);
}

static void bad_files(void) {
    static const struct {
        const char *from, *to, *says;
    } cases[] = {
        {NULL, NULL, "it is missing"},
        {"busy_seconds", "busy_seconds,", "damaged/ranks.csv"},
        {"waiting_seconds", "waited_seconds", "column 'waiting_seconds' is missing"},
        {"1,1,2,", "1,1,0,", "rank 0 of epoch 1 is there twice"},
        {"1,1,2,", "1,1,3,", "rank: expected a whole number from 0 to 2, found '3'"},
        {"1,1,2,", "1,0,2,", "epoch: expected a whole number from 1 to 3, found '0'"},
        {"1,1,2,", "2,1,2,", "format_version: expected a whole number from 1 to 1"},
        {",40,", ",-40,", "training_seconds: expected a number, 0 or more, found '-40'"},
        {",40,", ",\"40,0\",", "training_seconds: expected a number, 0 or more, found '40,0'"},
        {",40,", ",,", "training_seconds: expected a number, 0 or more, found ''"},
        {",40,31,6,", ",40,31,7,", "has 12: one of them was changed"},
        {"power cap", "power cup", "is no list of reasons"},
        {"1,3,2,", "1,3,2", "damaged/ranks.csv"},
    };
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++) {
        finished_run run;
        ls_error error = {0};
        damage(cases[index].from, cases[index].to);
        CHECK(finished_run_read(&run, "damaged", &error) == LS_BAD_INPUT, "%s", cases[index].says);
        CHECK(strstr(error.text, cases[index].says) && strstr(error.text, "damaged/ranks.csv") &&
                  !strchr(error.text, '\n'),
              "'%s' is not in: %s", cases[index].says, error.text);
    }
    check_case("a ranks.csv that was changed, or is gone, costs one line that says what is wrong");
}

int main(void) {
    fixture_enter_folder();
    there_and_back();
    the_verdict();
    reasons();
    bad_files();
    fixture_leave_folder();
    return check_done();
}
