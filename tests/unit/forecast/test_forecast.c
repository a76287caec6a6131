/* The forecast: steps simulated by hand (2 layers, 2 buckets), a link's measured times, weak and
 * strong scaling. Files and options: tests/badinput/forecast.py. */
#include "forecast/forecast.h"

#include "../check.h"

#include <math.h>
#include <string.h>

enum { MS = 1000 };

/* Layer a: 100 parameters; b: linear, 19 to 10 features, 200 parameters. In ms: forward 10 and 10,
 * backward 20 (b's gradient), 20, 20 (a's gradient), optimizer 10. */
static void two_layers(step_model *out) {
    static const step_row rows[] = {
        {.layer = "a", .phase = LAYER_FORWARD, .seconds = {0.010}},
        {.layer = "b", .phase = LAYER_FORWARD, .seconds = {0.010}},
        {.layer = "b",
         .phase = LAYER_BACKWARD_WEIGHTS,
         .seconds = {0.020},
         .gradient_first = 100,
         .gradient_count = 200,
         .in_features = 19,
         .out_features = 10},
        {.layer = "b", .phase = LAYER_BACKWARD_DATA, .seconds = {0.020}},
        {.layer = "a", .phase = LAYER_BACKWARD_WEIGHTS, .seconds = {0.020}, .gradient_count = 100},
        {.layer = "", .phase = LAYER_OPTIMIZER, .seconds = {0.010}}};
    *out = (step_model){.row_count = sizeof rows / sizeof rows[0],
                        .batches = {1},
                        .batch_count = 1,
                        .batch = 1,
                        .parameters = 300,
                        .type = DTYPE_F32};
    memcpy(out->rows, rows, sizeof rows);
}

/* Two ranks' all-reduce of 20 bytes takes 1 ms, at no latency. */
static forecast_network slow_network(void) {
    forecast_network out = {.ranks_per_node = 1};
    network_nominal("test", 0, 20 * MS, &out.between);
    return out;
}

static double simulated(const step_model *step, const forecast_network *network, comm_choice choice,
                        int64_t most, step_forecast *out) {
    ls_error error = {0};
    step_case at = {.step = step,
                    .network = network,
                    .choice = choice,
                    .ranks = 2,
                    .batch = step->batch,
                    .global_batch = 2 * step->batch,
                    .buckets = {.most = most, .worth = INT64_MAX}};
    CHECK(step_simulate(&at, out, &error) == LS_OK, "%s", error.text);
    return out->seconds * MS;
}

#define CHECK_MS(found, expected)                                                                  \
    do {                                                                                           \
        double found_ = (found);                                                                   \
        CHECK(fabs(found_ - (expected)) < 1e-9, "%.12g ms, expected %g", found_,                   \
              (double)(expected));                                                                 \
    } while (0)

static void by_hand(void) {
    static step_model step;
    step_forecast found;
    forecast_network network = slow_network();
    two_layers(&step);
    /* 80 to the end of backward, 60 for 1,200 bytes, 10. */
    CHECK_MS(simulated(&step, &network, CHOICE_PLAIN, 200, &found), 150);
    CHECK(found.collectives == 1, "%d", found.collectives);
    CHECK_MS(found.computing_seconds * MS, 90);
    check_case("plain: all of it after backward");
    /* b's bucket from 40 to 80, a's from 80 to 100; b's two thirds of the update are made
     * meanwhile, a's third after it. */
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 200, &found), 100 + 10 / 3.0);
    CHECK(found.collectives == 2, "%d", found.collectives);
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 100, &found), 100 + 10 / 3.0);
    CHECK(found.collectives == 3, "%d", found.collectives);
    /* One bucket across the layers waits for both: 80 + 60. */
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 300, &found), 150);
    /* 150 from the end start at 40 (30 ms), the other 150 at 80; half the update. */
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 150, &found), 115);
    step.type = DTYPE_F16; /* a loss scale has all gradients looked at first */
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 150, &found), 120);
    step.type = DTYPE_F32;
    check_case("buckets: one collective at a time, beside backward");
    /* Half the bytes: 40 to 60, 80 to 90, a third of the update. */
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS_BF16, 200, &found), 90 + 10 / 3.0);
    /* Casts cost 5 ms before and 5 ms after: backward ends at 85, b's bucket is done at 63.33, a's
     * at 95; until then b's 3.33 of widening and 6.67 of updating; then a's 1.67 and 3.33. */
    network.between.cast_seconds_per_byte = 0.010 / 1200;
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS_BF16, 200, &found), 100);
    check_case("bf16: half the bytes, and the casts' time");
}

static void sharded(void) {
    static step_model step;
    step_forecast found;
    forecast_network network = slow_network();
    two_layers(&step);
    /* b's bucket is reduced to its parts from 40 to 60, a's from 80 to 90; half of the update; b's
     * parameters come from 90 to 110, a's to 120. */
    CHECK_MS(simulated(&step, &network, CHOICE_ZERO, 200, &found), 120);
    CHECK(found.collectives == 4, "%d", found.collectives);
    /* a's parameters come until 10, b's until 30, and both stay; b's gradient from 60 to 80, a's
     * from 100 to 110; a third of half the update is left. */
    CHECK_MS(simulated(&step, &network, CHOICE_FSDP, 200, &found), 110 + 5 / 3.0);
    CHECK(found.collectives == 4, "%d", found.collectives);
    /* Blocks that are named alike are one group: all comes until 30. */
    strcpy(step.rows[0].layer, "blocks.0.a"), strcpy(step.rows[4].layer, "blocks.0.a");
    for (int row = 1; row < 4; row++)
        strcpy(step.rows[row].layer, "blocks.0.b");
    CHECK_MS(simulated(&step, &network, CHOICE_FSDP, 200, &found), 30 + 80 + 30 + 5);
    CHECK(found.collectives == 2, "%d", found.collectives);
    check_case("sharded: parts reduced, and parameters gathered");
}

static void factors(void) {
    static step_model step;
    step_forecast found;
    forecast_network network = slow_network();
    two_layers(&step);
    /* x on its way from 10 to 13.8, dy from 20 to 22; a's gradient from 60 to 80; b's product over
     * both ranks' rows, twice its 20 ms, from 60 to 100; then the update. */
    CHECK_MS(simulated(&step, &network, CHOICE_FACTORS, 200, &found), 110);
    CHECK(found.factored_layers == 1 && found.collectives == 3, "%d layers, %d collectives",
          found.factored_layers, found.collectives);
    /* Ten times the bandwidth: 4 ms for b's gradient are less than the 20 ms that factors cost. */
    network_nominal("test", 0, 200 * MS, &network.between);
    simulated(&step, &network, CHOICE_FACTORS, 200, &found);
    CHECK(found.factored_layers == 0, "%d", found.factored_layers);
    CHECK_MS(found.seconds * MS, 90);
    check_case("factors: where they are cheaper");
}

/* A link measured at two sizes, on whose collectives the computing thread works. */
static void set_overlap(forecast_network *network, double progress, double slowdown) {
    link_point points[] = {{400, 0.020, 0.020, {progress, slowdown}},
                           {800, 0.040, 0.040, {progress, slowdown}}};
    ls_error error = {0};
    *network = (forecast_network){.ranks_per_node = 1, .between = {.ranks = 2, .nodes = 1}};
    network->between.kinds[LINK_SUM_F32].count = 2;
    memcpy(network->between.kinds[LINK_SUM_F32].points, points, sizeof points);
    CHECK(network_fit(&network->between, &error) == LS_OK, "%s", error.text);
}

static void overlap(void) {
    static step_model step;
    step_forecast found;
    forecast_network network;
    two_layers(&step);
    set_overlap(&network, 1, 0);
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 200, &found), 100 + 10 / 3.0);
    set_overlap(&network, 0, 0);
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 200, &found), 150);
    set_overlap(&network, 0.5, 0.5); /* what passes costs the computing thread as much */
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 200, &found), 150);
    /* 40 ms of backward pass 20 of b's 40 ms and take 4 more; the other 20 are waited for, to 104.
     * b's 6.67 of update take 7.33 and pass 3.33 of a's 20 ms; to 128, and a's 3.33 of update. */
    set_overlap(&network, 0.5, 0.1);
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 200, &found), 128 + 10 / 3.0);
    check_case("overlap as it was measured");
    /* In buckets of 100, b's second goes right behind its first: 40 to 60, to 75; a's 80 to 100, a
     * third of the update. */
    set_overlap(&network, 1, 0);
    network.between.kinds[LINK_SUM_F32].points[0].following_seconds = 0.015;
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 100, &found), 100 + 10 / 3.0);
    /* At 30 ms behind: 40 to 60, to 90, then a's behind that to 120. */
    network.between.kinds[LINK_SUM_F32].points[0].following_seconds = 0.030;
    CHECK_MS(simulated(&step, &network, CHOICE_BUCKETS, 100, &found), 120 + 10 / 3.0);
    check_case("one collective right behind another");
}

static void residuals(void) {
    forecast_network network;
    set_overlap(&network, 1, 0);
    link_point *points = network.between.kinds[LINK_SUM_F32].points;
    ls_error error = {0};
    points[1].seconds = points[1].following_seconds = 0.080; /* no line through 0 */
    points[0].seconds = 0.010;
    CHECK(network_fit(&network.between, &error) == LS_OK, "%s", error.text);
    CHECK_MS(network_cost(&network, LINK_SUM_F32, 2, 400).seconds * MS, 10);
    CHECK_MS(network_cost(&network, LINK_SUM_F32, 2, 800).seconds * MS, 80);
    double between = network_cost(&network, LINK_SUM_F32, 2, 600).seconds * MS;
    CHECK(between > 10 && between < 80, "%g", between);
    double more = network_cost(&network, LINK_SUM_F32, 4, 800).seconds * MS;
    CHECK(more > 80, "4 ranks' ring moves more than 2 ranks': %g", more);
    check_case("measured times stand at their sizes");
}

/* Two ranks a node: an all-reduce's part inside gets on at 0.1, the one between at 1. */
static void nodes_of_two(void) {
    forecast_network network, inside;
    set_overlap(&inside, 0.1, 0);
    set_overlap(&network, 1, 0);
    network.inside = inside.between;
    network.ranks_per_node = 2;
    network.two_level = true;
    collective_cost cost = network_cost(&network, LINK_SUM_F32, 4, 800);
    CHECK_MS(cost.seconds * MS, 80);
    CHECK_MS(cost.following_seconds * MS, 40);
    /* 40 ms inside take 400 of computing, 40 between take 40. */
    CHECK(fabs(cost.overlap.progress - 80.0 / 440) < 1e-9, "%g", cost.overlap.progress);
    CHECK(cost.following_overlap.progress == 1, "%g", cost.following_overlap.progress);
    check_case("behind another, the part inside the node is done already");
}

static void scaling(void) {
    static step_model step;
    static forecast weak, strong;
    ls_error error = {0};
    forecast_network network = slow_network();
    two_layers(&step);
    step.batch = step.batches[0] = 4;
    CHECK(forecast_make(&step, &network, 800, false, &weak, &error) == LS_OK, "%s", error.text);
    CHECK(forecast_make(&step, &network, 800, true, &strong, &error) == LS_OK, "%s", error.text);
    const forecast_line *alone = &weak.choices[CHOICE_BUCKETS].lines[0];
    CHECK(alone->ranks == 1 && alone->speedup == 1 && alone->exposed == 0, "%g", alone->speedup);
    const forecast_line *two = &weak.choices[CHOICE_BUCKETS].lines[1];
    double expected = 100 + 10 / 3.0;
    CHECK_MS(two->seconds * MS, expected);
    CHECK(two->global_batch == 8 && fabs(two->speedup - 2 * 90 / expected) < 1e-12, "%g",
          two->speedup);
    CHECK(fabs(two->exposed - (expected - 90) / expected) < 1e-12, "%g", two->exposed);
    CHECK(weak.best.count == 11 && weak.best.lines[10].ranks == 1024, "%d", weak.best.count);
    for (int line = 0; line < weak.best.count; line++)
        for (int choice = 0; choice < CHOICES; choice++)
            CHECK(weak.best.lines[line].seconds <= weak.choices[choice].lines[line].seconds,
                  "line %d, %s", line, comm_choice_names[choice]);
    check_case("weak scaling");
    /* Rows are halved but for the optimizer: backward ends at 40, b's bucket is sent from 20 to
     * 60, a's from 60 to 80, then a third of the update. */
    CHECK_MS(strong.choices[CHOICE_BUCKETS].lines[1].seconds * MS, 80 + 10 / 3.0);
    CHECK(strong.best.count == 3 && strong.best.lines[2].global_batch == 4, "%d",
          strong.best.count);
    check_case("strong scaling ends where a rank has no image");
}

static void batches(void) {
    static step_model step;
    two_layers(&step);
    step_row *row = &step.rows[0];
    CHECK_MS(step_row_seconds(&step, row, 3) * MS, 30);
    CHECK_MS(step_row_seconds(&step, &step.rows[5], 3) * MS, 10);
    step.batch_count = 3; /* 10 ms at 1, 16 at 4, 40 at 8 */
    memcpy(step.batches, (int64_t[]){1, 4, 8}, 3 * sizeof(int64_t));
    memcpy(row->seconds, (double[]){0.010, 0.016, 0.040}, 3 * sizeof(double));
    CHECK_MS(step_row_seconds(&step, row, 1) * MS, 10);
    CHECK_MS(step_row_seconds(&step, row, 3) * MS, 14);
    CHECK_MS(step_row_seconds(&step, row, 6) * MS, 28);
    CHECK_MS(step_row_seconds(&step, row, 10) * MS, 52);
    check_case("rows at other batches");
}

int main(void) {
    by_hand();
    sharded();
    factors();
    overlap();
    residuals();
    nodes_of_two();
    scaling();
    batches();
    return check_done();
}
