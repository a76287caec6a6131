/* Buckets: what is cut covers the gradient once, from its end, at the borders that the rule
 * wants. */
#include "../check.h"
#include "mode/buckets.h"
#include "mode/exchange.h"
#include "model/layers.h"

#include <math.h>

static graph model;

static void build(void) {
    int x = graph_input(&model, 32, 32, 3);
    x = graph_conv2d(&model, "conv1", x, 64, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(&model, "pool1", x, 2, 2, 0);
    x = graph_conv2d(&model, "conv2", x, 128, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(&model, "pool2", x, 2, 2, 0);
    x = graph_linear(&model, "fc1", x, 512, ACTIVATION_RELU);
    x = graph_linear(&model, "fc2", x, 10, ACTIVATION_NONE);
    ls_error error = {0};
    CHECK(graph_finish(&model, x, &error) == LS_OK, "%s", error.text);
}

/* Sizes of the units, first layer first. */
enum { CONV1 = 1792, CONV2 = 73856, FC1 = 4194816, FC2 = 5130, ALL = 4275594 };

static bucket cut[64];

/* Cuts, and checks that the buckets lie end to start over all that is not left out. */
static int cut_all(const bool *left_out, size_t most, size_t worth) {
    bucket_rule rule = {.most = most, .worth = worth};
    int count = buckets_cut(&model, left_out, rule, NULL);
    CHECK(count <= 64, "%d buckets", count);
    CHECK(buckets_cut(&model, left_out, rule, cut) == count, "counting and cutting agree");
    size_t end = ALL, covered = 0;
    for (int index = 0; index < count; index++) {
        size_t gap = end - (cut[index].first + cut[index].count);
        CHECK(cut[index].count > 0 && cut[index].count <= most, "bucket %d of %zu", index,
              cut[index].count);
        CHECK(gap == 0 || (left_out && (gap == FC1 || gap == FC1 + FC2)), "a gap of %zu", gap);
        end = cut[index].first;
        covered += cut[index].count;
    }
    size_t out = left_out ? (left_out[2] ? FC1 : 0) + (left_out[3] ? FC2 : 0) : 0;
    CHECK(covered == ALL - out, "%zu covered", covered);
    return count;
}

static void test_cutting(void) {
    CHECK(cut_all(NULL, SIZE_MAX, SIZE_MAX) == 1, "a bucket of everything");
    CHECK(cut_all(NULL, 1048576, SIZE_MAX) == 5 && cut[4].first == 0 &&
              cut[4].count == ALL - 4 * 1048576,
          "given sizes know no borders");
    CHECK(cut_all(NULL, SIZE_MAX, 1) == 4 && cut[0].count == FC2 && cut[1].count == FC1 &&
              cut[2].count == CONV2 && cut[3].count == CONV1,
          "what is ready starts");
    CHECK(cut_all(NULL, SIZE_MAX, FC2 + 1) == 3 && cut[0].count == FC2 + FC1 &&
              cut[2].count == CONV1,
          "what is not worth a call waits for the next unit");
    CHECK(cut_all(NULL, 1 << 20, FC2) == 7 && cut[0].count == FC2 && cut[1].count == 1 << 20 &&
              cut[5].count == FC1 + CONV2 - (4 << 20) && cut[6].count == CONV1,
          "a long unit in pieces, what is left of it with the next");
    check_case("cutting");
}

static void test_left_out(void) {
    bool fc1[] = {false, false, true, false}, both[] = {false, false, true, true};
    CHECK(cut_all(fc1, SIZE_MAX, SIZE_MAX) == 2 && cut[0].count == FC2 &&
              cut[1].count == CONV1 + CONV2,
          "a unit that goes otherwise is a border");
    CHECK(cut_all(both, SIZE_MAX, SIZE_MAX) == 1 && cut[0].count == CONV1 + CONV2, "two of them");
    check_case("units left out");
}

static void test_rule(void) {
    /* 100 us and 100 MB/s: 10 kB take as long as the latency, 2500 floats: 2^11 is nearest. */
    bucket_rule rule = bucket_rule_for(ALL, 4, 100e-6, 100e6);
    CHECK(rule.worth == 2048 && rule.most == 1 << 19, "%zu, %zu", rule.worth, rule.most);
    /* Twice as many of half the size; noise of a tenth changes nothing. */
    CHECK(bucket_rule_for(ALL, 2, 100e-6, 100e6).worth == 4096, "in bf16");
    CHECK(bucket_rule_for(ALL, 4, 110e-6, 100e6).worth == 2048, "noise");
    /* Latency that is worth a megabyte: a tenth of a bucket. */
    rule = bucket_rule_for(ALL, 4, 1e-3, 1e9);
    CHECK(rule.worth == 262144 && rule.most == 1 << 21, "%zu, %zu", rule.worth, rule.most);
    rule = bucket_rule_for(ALL, 4, 1, 1e9);
    CHECK(rule.worth == ALL && rule.most == ALL, "never more than there is");
    rule = bucket_rule_for(ALL, 4, 0, INFINITY);
    CHECK(rule.worth == 1 && rule.most == 1 << 19, "%zu, %zu", rule.worth, rule.most);
    rule = bucket_rule_for(ALL, 4, 1e-6, INFINITY);
    CHECK(rule.worth == ALL && rule.most == ALL, "where bytes cost nothing, one call");
    check_case("the rule");
}

/* Seconds: as factors, all-reduced, how far they vary, the smallest all-reduce. */
static void test_factors_win(void) {
    CHECK(exchange_factors_win(5, 10, 0, 1), "half the time");
    CHECK(!exchange_factors_win(5, 10, 5.5, 1), "half the time, but the times vary by more");
    CHECK(exchange_factors_win(5, 10, 4.5, 1), "half the time, and the times vary by less");
    CHECK(!exchange_factors_win(9.5, 10, 0, 0), "less than a tenth is in doubt");
    CHECK(!exchange_factors_win(8.5, 10, 0, 1), "a tenth and the smallest call are in doubt");
    CHECK(!exchange_factors_win(10, 5, 0, 0), "slower");
    check_case("factors where they win by more than the times vary");
}

int main(void) {
    build();
    test_cutting();
    test_left_out();
    test_rule();
    test_factors_win();
    return check_done();
}
