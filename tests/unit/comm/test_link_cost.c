/* The cost model of collectives: known latencies and bandwidths come back from times that it or a
 * noisy network made. */
#include "comm/link/link.h"

#include "../check.h"
#include "base/random.h"

#include <math.h>
#include <string.h>

static const size_t sizes[] = {4096, 65536, 262144, 1 << 20, 4 << 20, 17102376};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

static void by_hand(void) {
    link_cost hop = {.latency_seconds = 10e-6, .bytes_per_second = 1e9};
    /* 4 ranks: 6 hops of 10 us, and 1.5 times 1 MB at 1 GB/s. */
    CHECK(fabs(link_seconds(&hop, LINK_ALLREDUCE, 4, 1e6) - (60e-6 + 1.5e-3)) < 1e-12, "%g",
          link_seconds(&hop, LINK_ALLREDUCE, 4, 1e6));
    CHECK(fabs(link_seconds(&hop, LINK_ALLGATHER, 4, 1e6) - (30e-6 + 0.75e-3)) < 1e-12, "%g",
          link_seconds(&hop, LINK_ALLGATHER, 4, 1e6));
    CHECK(link_seconds(&hop, LINK_ALLREDUCE, 1, 1e6) == 0, "one rank has nothing to exchange");
    check_case("costs computed by hand");
}

static void two_links(void) {
    link_network network = {.inside = {1e-6, 10e9}, .between = {5e-6, 1e9}, .ranks_per_node = 2};
    double flat = link_network_seconds(&network, LINK_ALLREDUCE, 4, 1e6);
    CHECK(fabs(flat - (6 * 5e-6 + 1.5e6 / 1e9)) < 1e-12, "%g", flat);
    network.two_level = true;
    double levels = link_network_seconds(&network, LINK_ALLREDUCE, 4, 1e6);
    CHECK(fabs(levels - (2 * 1e-6 + 1e6 / 10e9 + 2 * 5e-6 + 1e6 / 1e9)) < 1e-12, "%g", levels);
    double node = link_network_seconds(&network, LINK_ALLREDUCE, 2, 1e6);
    CHECK(fabs(node - (2 * 1e-6 + 1e6 / 10e9)) < 1e-12, "%g", node);
    double gather = link_network_seconds(&network, LINK_ALLGATHER, 4, 1e6);
    CHECK(fabs(gather - (3 * 5e-6 + 0.75e6 / 1e9)) < 1e-12, "one ring in any case: %g", gather);
    network.ranks_per_node = 1;
    double nodes = link_network_seconds(&network, LINK_ALLGATHER, 2, 1e6);
    CHECK(fabs(nodes - (5e-6 + 0.5e6 / 1e9)) < 1e-12, "%g", nodes);
    check_case("two links: inside a node and between nodes");
}

/* noise: relative, uniform in +-noise. */
static void recovers(link_call call, int ranks, link_cost truth, double noise, double tolerance) {
    double seconds[SIZES];
    link_cost found;
    ls_error error = {0};
    for (int index = 0; index < SIZES; index++) {
        uint32_t bits[4];
        random_block(7, RANDOM_SYNTHETIC, 0, (uint64_t)index, bits);
        double draw = random_unit(bits[0]);
        seconds[index] =
            link_seconds(&truth, call, ranks, (double)sizes[index]) * (1 + noise * (2 * draw - 1));
    }
    CHECK(link_fit(call, ranks, sizes, seconds, SIZES, &found, &error) == LS_OK, "%s", error.text);
    CHECK(fabs(found.latency_seconds / truth.latency_seconds - 1) < tolerance, "%g, expected %g",
          found.latency_seconds, truth.latency_seconds);
    CHECK(fabs(found.bytes_per_second / truth.bytes_per_second - 1) < tolerance, "%g, expected %g",
          found.bytes_per_second, truth.bytes_per_second);
}

static void fits(void) {
    recovers(LINK_ALLREDUCE, 2, (link_cost){30e-6, 1.2e9}, 0, 1e-9);
    recovers(LINK_ALLREDUCE, 8, (link_cost){2e-6, 50e9}, 0, 1e-9);
    recovers(LINK_ALLGATHER, 3, (link_cost){100e-6, 0.1e9}, 0, 1e-9);
    check_case("exact times give latency and bandwidth back");
    recovers(LINK_ALLREDUCE, 2, (link_cost){30e-6, 1.2e9}, 0.05, 0.1);
    recovers(LINK_ALLGATHER, 4, (link_cost){50e-6, 0.5e9}, 0.05, 0.1);
    check_case("5% of noise moves them by less than 10%");
}

static void at_the_edges(void) {
    link_cost found;
    ls_error error = {0};
    size_t two[] = {1000, 2000000};
    /* Superlinear: the line through both would start below 0. */
    CHECK(link_fit(LINK_ALLREDUCE, 2, two, (double[]){1e-6, 3e-3}, 2, &found, &error) == LS_OK,
          "%s", error.text);
    CHECK(found.latency_seconds == 0 && found.bytes_per_second > 0, "%g", found.latency_seconds);
    /* No byte costs anything. */
    CHECK(link_fit(LINK_ALLREDUCE, 2, two, (double[]){2e-3, 1e-3}, 2, &found, &error) == LS_OK,
          "%s", error.text);
    CHECK(isinf(found.bytes_per_second) && found.latency_seconds > 0, "%g", found.bytes_per_second);
    CHECK(link_fit(LINK_ALLREDUCE, 2, two, (double[]){1e-3, 2e-3}, 1, &found, &error) ==
              LS_BAD_INPUT,
          "one size fits any line");
    error = (ls_error){0};
    CHECK(link_fit(LINK_ALLREDUCE, 2, two, (double[]){1e-3, 0}, 2, &found, &error) == LS_BAD_INPUT,
          "no collective takes no time");
    error = (ls_error){0};
    CHECK(link_fit(LINK_ALLREDUCE, 1, two, (double[]){1e-3, 1e-3}, 2, &found, &error) ==
              LS_BAD_INPUT,
          "one rank has no link");
    check_case("neither is below 0; what no line fits is refused");
}

int main(void) {
    by_hand();
    two_links();
    fits();
    at_the_edges();
    return check_done();
}
