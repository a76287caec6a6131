/* Where the efficiency went: rows that sum to the loss, on runs whose parts are known. */
#include "../check.h"
#include "report/compare/lost.h"
#include "report/read/run_list.h"
#include "report/run/ranks_csv.h"
#include "report_fixture.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { RANKS = 2 };

/* `seconds` of training, of which the phases are those of `mean`; measured: with waiting and
 * ranks.csv, where rank 1 is slow by a tenth and waits for nobody. */
static void write_run(const char *folder, const char *mode, int ranks, double seconds,
                      phase_seconds mean, bool measured, int minute) {
    fixture made;
    ls_error error = {0};
    rank_epoch epoch[RANKS], sums[RANKS] = {{0}};
    phase_seconds share = mean;
    fixture_make(&made, mode, ranks, 64 / ranks, seconds);
    snprintf(made.facts.started, sizeof made.facts.started, "2020-02-02T20:%02d:20+0000", minute);
    made.totals.phases = mean;
    double *parts[] = {&share.data,          &share.forward,   &share.backward,
                       &share.communication, &share.optimizer, &share.waiting};
    for (int part = 0; part < 6; part++)
        *parts[part] /= 3;
    for (int rank = 0; rank < ranks; rank++) {
        epoch[rank] = (rank_epoch){.seconds = seconds / 3, .phases = share};
        epoch[rank].phases.waiting *= ranks == 1 ? 1 : 2 * (rank == 0);
        epoch[rank].phases.communication += epoch[rank].phases.waiting - share.waiting;
        epoch[rank].pace = (rank_pace){ranks > 1 ? 16 : 0, rank * 16, rank * 16, 1 + 0.1 * rank, 1};
    }
    for (int index = 0; index < 3; index++) {
        made.epochs[index].phases = share;
        made.epochs[index].ranks = measured ? epoch : NULL;
        for (int rank = 0; rank < ranks; rank++)
            rank_epoch_add(&sums[rank], &epoch[rank]);
    }
    made.totals.ranks = measured ? sums : NULL;
    CHECK(fixture_write(&made, folder, &error) == LS_OK, "%s", error.text);
}

typedef struct opened {
    run_list runs;
    configuration_list configurations;
    comparison_list tables;
    complaints complaints;
} opened;

static void open_runs(opened *self, char *const *folders, size_t count) {
    ls_error error = {0};
    *self = (opened){.complaints = {0}};
    CHECK(run_list_read(&self->runs, folders, count, &self->complaints, &error) == LS_OK &&
              configurations_make(&self->configurations, self->runs.items, self->runs.count,
                                  &error) == LS_OK &&
              comparisons_make(&self->tables, &self->configurations, NULL, &self->complaints,
                               &error) == LS_OK,
          "%s", error.text);
    CHECK(self->tables.count == 1 && self->complaints.count == 0, "%zu tables, %s",
          self->tables.count, self->complaints.count ? self->complaints.list[0].text : "");
}

static void close_runs(opened *self) {
    comparisons_free(&self->tables);
    configurations_free(&self->configurations);
    run_list_free(&self->runs);
    complaints_free(&self->complaints);
}

static bool near(double a, double b) {
    return fabs(a - b) < 1e-8; /* nine digits are written */
}

static double sum_of(const lost_shares *lost) {
    return lost->waiting + lost->transfer + lost->data + lost->forward + lost->backward +
           lost->optimizer + lost->rest;
}

/* 100 s alone; 2 ranks in 62.5 s: 125 rank-seconds, of which 25 are lost, and of these 4 in
 * waiting, 6 in transfer, -1 in data, 4 forward, 2 backward, 8 in the optimizer, 2 in nothing of
 * these. */
static const phase_seconds alone = {4, 30, 55, 0, 10, 0}, both = {1.5, 17, 28.5, 5, 9, 2};

static void one_pair(void) {
    static char *const folders[] = {"single", "ddp"};
    opened runs;
    write_run("single", "single", 1, 100, alone, true, 0);
    write_run("ddp", "ddp", 2, 62.5, both, true, 1);
    open_runs(&runs, folders, 2);
    const comparison *table = &runs.tables.items[0];
    lost_shares lost = lost_of(table->baseline, &table->rows[0]);
    CHECK(near(lost.efficiency, 0.8) && near(sum_of(&lost), 0.2), "%g", sum_of(&lost));
    CHECK(near(lost.waiting, 4.0 / 125) && near(lost.transfer, 6.0 / 125), "%g %g", lost.waiting,
          lost.transfer);
    CHECK(near(lost.data, -1.0 / 125) && near(lost.forward, 4.0 / 125) &&
              near(lost.backward, 2.0 / 125) && near(lost.optimizer, 8.0 / 125),
          "%g %g %g %g", lost.data, lost.forward, lost.backward, lost.optimizer);
    CHECK(near(lost.rest, 2.0 / 125), "%g", lost.rest);
    check_case("each part is what the ranks spent less what the baseline did, and all sum to the "
               "loss");
    text_buffer out = {0};
    lost_text(&out, table, TABLE_TEXT);
    CHECK(strstr(out.bytes, "\n2 nodes, 2 ranks (DDP)          80.0%  20.0%     3.2%      4.8%  "
                            "-0.8%     3.2%      1.6%       6.4%  1.6%\n"),
          "%s", out.bytes);
    CHECK(strstr(out.bytes, "\nddp: rank 1 on host node2 (a CPU) is steadily slow: busy 10.0% "
                            "longer than the other ranks' median, longer in 100.0% of 48 timed "
                            "steps; waiting for it costs 6.4% of the training time\n"),
          "%s", out.bytes);
    CHECK(!strchr(out.bytes, '*'), " ");
    text_free(&out);
    close_runs(&runs);
    check_case("the table under the speedups, and the verdict with its cost");
}

/* The first pair as above; in the second all of the loss of 50 rank-seconds is in transfer. */
static void repeats(void) {
    static char *const folders[] = {"single", "ddp", "single-2", "ddp-2"};
    opened runs;
    write_run("single-2", "single", 1, 100, alone, true, 2);
    write_run("ddp-2", "ddp", 2, 75, (phase_seconds){2, 15, 27.5, 25, 5, 0}, true, 3);
    open_runs(&runs, folders, 4);
    const comparison *table = &runs.tables.items[0];
    lost_shares lost = lost_of(table->baseline, &table->rows[0]);
    CHECK(near(lost.efficiency, sqrt(0.8 * 100 / 150)) && near(lost.efficiency + sum_of(&lost), 1),
          "%g %g", lost.efficiency, sum_of(&lost));
    CHECK(near(lost.waiting, 2.0 / 125) && near(lost.transfer, 3.0 / 125 + 25.0 / 150) &&
              near(lost.optimizer, 4.0 / 125),
          "%g %g %g", lost.waiting, lost.transfer, lost.optimizer);
    CHECK(fabs(lost.rest - 1.0 / 125) < 0.01, "%g: the means differ by little", lost.rest);
    close_runs(&runs);
    check_case("of repeats each part is the mean over the pairs");
}

static void not_measured(void) {
    static char *const folders[] = {"single", "old"};
    opened runs;
    write_run("old", "ddp", 2, 62.5, both, false, 1);
    open_runs(&runs, folders, 2);
    const comparison *table = &runs.tables.items[0];
    lost_shares lost = lost_of(table->baseline, &table->rows[0]);
    CHECK(isnan(lost.waiting) && near(lost.transfer, 10.0 / 125) && near(lost.rest, 2.0 / 125),
          "%g %g", lost.transfer, lost.rest);
    text_buffer out = {0};
    lost_text(&out, table, TABLE_MARKDOWN);
    CHECK(strstr(out.bytes, "| 80.0% | 20.0% | - | 8.0% * | -0.8% |") &&
              strstr(out.bytes, "\n* with the waiting for the slowest rank, which these runs did "
                                "not measure\n") &&
              !strstr(out.bytes, "steadily slow"),
          "%s", out.bytes);
    text_free(&out);
    close_runs(&runs);
    check_case("a run from before waiting was measured");
}

int main(void) {
    fixture_enter_folder();
    one_pair();
    repeats();
    not_measured();
    fixture_leave_folder();
    return check_done();
}
