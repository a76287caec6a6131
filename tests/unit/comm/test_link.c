/* Times of collectives, taken on the ranks at hand: `mpirun -n N test_link [KIND]`
 * (comm_fixture.h). */
#include "comm/link/link.h"
#include "comm_fixture.h"
#include "launch/lifeline.h"

#include "../check.h"
#include "base/clock.h"

#include <string.h>

static const size_t sizes[] = {1024, 65536, 4 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* The same bits on all ranks. */
static bool agrees(const void *values, size_t bytes) {
    char mine[256], first[256];
    memcpy(mine, values, bytes);
    memcpy(first, values, bytes);
    if (all->size == 1) /* alone there is no control */
        return true;
    return comm_broadcast_bytes(control, first, bytes, 0, &error) == LS_OK &&
           memcmp(first, mine, bytes) == 0;
}

static void test_times(link_call call) {
    link_probe probe = {.comm = all, .control = control, .device = memory, .stream = stream};
    double seconds[SIZES], spread[SIZES], began = clock_seconds();
    CHECK(link_measure(&probe, call, DTYPE_F32, sizes, SIZES, seconds, spread, &error) == LS_OK,
          "measure");
    CHECK(clock_seconds() - began < 30, "three sizes took %g s", clock_seconds() - began);
    for (int index = 0; index < SIZES; index++)
        CHECK(all->size == 1 ? seconds[index] == 0 : seconds[index] > 0, "%zu bytes: %g s",
              sizes[index], seconds[index]);
    if (all->size > 1) {
        CHECK(seconds[2] > seconds[0], "4 MiB take longer than 1 KiB: %g, %g", seconds[2],
              seconds[0]);
        CHECK(agrees(seconds, sizeof seconds), "all ranks hold the same times");
        CHECK(agrees(spread, sizeof spread), "all ranks hold the same spread");
        for (int index = 0; index < SIZES; index++)
            CHECK(spread[index] > 0 && spread[index] < 30, "they vary by %g", spread[index]);
    }
    END_CASE(link_call_name(call));
}

/* Each rank's calls take another time, and all must make as many: a time that bounds their number
 * differs from round to round. */
static void test_within(void) {
    link_room room = {0};
    link_probe probe = {
        .comm = all, .control = control, .device = memory, .stream = stream, .room = &room};
    for (int round = 0; round < 8; round++) {
        double seconds[SIZES], spread[SIZES];
        link_budget budget;
        CHECK(link_budget_begin(control, 0.01 * (1 + round), &budget, &error) == LS_OK, "begin");
        CHECK(link_measure_within(&probe, LINK_ALLREDUCE, DTYPE_F32, sizes, SIZES, &budget, 0,
                                  seconds, spread, &error) == LS_OK,
              "measure");
        CHECK(agrees(&budget.left_seconds, sizeof budget.left_seconds), "and the same time left");
        CHECK(agrees(seconds, sizeof seconds), "all ranks hold the same times");
        CHECK(agrees(spread, sizeof spread), "all ranks hold the same spread");
    }
    link_release_room(&probe);
    END_CASE("within a time");
}

static void test_overlap(bool pumped) {
    link_probe probe = {
        .comm = all, .control = control, .device = memory, .stream = stream, .pumped = pumped};
    link_overlap overlap;
    double following;
    CHECK(link_measure_following(&probe, LINK_ALLREDUCE, DTYPE_F32, 4 << 20, 0, &following,
                                 &error) == LS_OK,
          "measure");
    CHECK(all->size == 1 ? following == 0 : following > 0, "%g", following);
    CHECK(link_measure_overlap(&probe, LINK_ALLREDUCE, DTYPE_F32, 4 << 20, 0.01, 0.001, &overlap,
                               &error) == LS_OK,
          "measure");
    CHECK(overlap.progress >= 0 && overlap.slowdown >= 0 &&
              overlap.progress <= (1 + overlap.slowdown) * (1 + 1e-9),
          "%g %g", overlap.progress, overlap.slowdown);
    if (all->size > 1)
        CHECK(agrees(&overlap, sizeof overlap), "all ranks hold the same overlap");
    else
        CHECK(overlap.progress == 1 && overlap.slowdown == 0, "alone nothing is in the way");
    END_CASE(pumped ? "overlap, with a pump" : "overlap");
}

int main(int argc, char **argv) {
    launch here;
    if (comm_fixture_open(argc > 1 ? argv[1] : "host", &here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    test_times(LINK_ALLREDUCE);
    test_times(LINK_ALLGATHER);
    test_within();
    test_overlap(false);
    test_overlap(true);
    int failed = all->rank == 0 ? check_done() : check_failures != 0;
    comm_fixture_close();
    if (launch_finish(&here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    return failed;
}
