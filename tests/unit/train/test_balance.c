/* Who waited for whom (train/balance.h), on rounds whose answer is known: a comm that knows what
 * the other ranks would say stands for them. And the rounds of a step's clock, on times that pass.
 */
#include "base/clock.h"
#include "device/device.h"
#include "train/balance.h"

#include "../check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RANKS = 1024 };

/* What rank r did in round (or step) i, and how long it stood still after it. */
static double busy_of(int rank, int64_t index);
static double (*busy)(int rank, int64_t index) = busy_of;

static double busy_of(int rank, int64_t index) {
    return 1 + 0.001 * ((rank * 7 + index * 3) % 11);
}

/* A comm of many ranks in one process: all-gathers give what `busy` says. */
static int64_t gathered; /* since the values at hand began with index 0 */
static int64_t values;   /* of them a rank */

static int fake_allreduce(comm *self, device_stream *stream, void *buffer, size_t count, dtype type,
                          reduction how, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)buffer, (void)count, (void)type, (void)how, (void)work;
    (void)error; /* the largest of equal numbers */
    return LS_OK;
}

static int fake_allgather(comm *self, device_stream *stream, void *buffer, const int64_t *counts,
                          dtype type, comm_work *work, ls_error *error) {
    (void)stream, (void)work, (void)error, (void)type;
    int64_t count = counts[0] / (int64_t)sizeof(double);
    for (int rank = 0; rank < self->size; rank++)
        for (int64_t index = 0; index < count; index++) {
            double *at = (double *)buffer + rank * count + index;
            double value = busy(rank, gathered + index);
            if (rank == self->rank)
                CHECK(*at == value, "rank %d sent %g, expected %g", rank, *at, value);
            else
                *at = value;
        }
    gathered = (gathered + count) % values;
    return LS_OK;
}

static int fake_wait(comm *self, device_stream *stream, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)work, (void)error;
    return LS_OK;
}

static const comm_interface fake = {
    .allreduce = fake_allreduce, .allgather = fake_allgather, .wait = fake_wait};

/* One round a step, exposed for `exposed` seconds each. */
static void compare(int rank, int size, int64_t steps, double exposed, double *waiting,
                    rank_pace *pace) {
    comm comm = {.is = &fake, .rank = rank, .size = size};
    balance self;
    ls_error error = {0};
    static const double parts[STEP_PARTS];
    values = steps;
    gathered = 0;
    CHECK(balance_open(&self, &comm, steps, true, &error) == LS_OK, "%s", error.text);
    balance_start(&self);
    for (int64_t step = 0; step < steps; step++) {
        step_round round = {busy(rank, step), exposed};
        balance_add(&self, &round, 1, parts);
    }
    CHECK(balance_compare(&self, waiting, pace, &error) == LS_OK, "%s", error.text);
    balance_close(&self);
}

static bool near(double a, double b) {
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b)) + 1e-12;
}

/* By the definition, without chunks. */
static double expected_waiting(int rank, int size, int64_t steps, double exposed) {
    double sum = 0;
    for (int64_t step = 0; step < steps; step++) {
        double most = 0;
        for (int other = 0; other < size; other++)
            most = fmax(most, busy(other, step));
        sum += fmin(exposed, most - busy(rank, step));
    }
    return sum;
}

static void test_waiting(void) {
    static const struct {
        int size;
        int64_t steps;
    } cases[] = {{1, 7}, {2, 100}, {3, 1}, {3, 70000}, {MOST_RANKS, 130}};
    for (size_t index = 0; index < sizeof cases / sizeof cases[0]; index++)
        for (int rank = 0; rank < cases[index].size; rank += cases[index].size / 2 + 1) {
            double waiting, wanted;
            rank_pace pace;
            compare(rank, cases[index].size, cases[index].steps, 0.004, &waiting, &pace);
            wanted = expected_waiting(rank, cases[index].size, cases[index].steps, 0.004);
            CHECK(near(waiting, wanted), "%g, expected %g, rank %d of %d", waiting, wanted, rank,
                  cases[index].size);
            CHECK(pace.steps == (cases[index].size > 1 ? cases[index].steps : 0), " ");
        }
    check_case("waiting is the longest busy time less one's own, at most the exposed time");
}

/* Rank 2 takes a tenth longer in nine of ten steps. */
static double one_is_slow(int rank, int64_t index) {
    return rank == 2 && index % 10 != 0 ? 1.1 : 1.0;
}

/* Ranks 2 and 3, a slow host's, of five. */
static double two_are_slow(int rank, int64_t index) {
    return rank == 2 || rank == 3 ? 1.2 + 0.001 * (double)(index % 2) : 1.0;
}

static void test_pace(void) {
    double waiting;
    rank_pace pace;
    busy = one_is_slow;
    compare(2, 3, 100, 1, &waiting, &pace);
    CHECK(pace.steps == 100 && pace.longer_steps == 90 && pace.slow_steps == 90, "%lld %lld",
          (long long)pace.longer_steps, (long long)pace.slow_steps);
    CHECK(near(pace.own_seconds, 109) && near(pace.others_seconds, 100) && waiting == 0, "%g %g %g",
          pace.own_seconds, pace.others_seconds, waiting);
    compare(0, 3, 100, 1, &waiting, &pace);
    CHECK(near(waiting, 9) && pace.longer_steps == 0 && near(pace.others_seconds, 104.5), "%g %g",
          waiting, pace.others_seconds);
    busy = two_are_slow;
    compare(3, 5, 40, 1, &waiting, &pace);
    CHECK(pace.slow_steps == 40 && near(pace.others_seconds, 40), "%lld %g",
          (long long)pace.slow_steps, pace.others_seconds);
    compare(4, 5, 40, 1, &waiting, &pace);
    CHECK(pace.longer_steps == 0 && near(waiting, 40 * 0.2005), "%g", waiting);
    busy = busy_of;
    check_case("a rank's pace is against the median of the other ranks");
}

static void spend(double seconds) {
    for (double start = clock_seconds(); clock_seconds() - start < seconds;)
        ;
}

/* A step whose update comes behind its last communication; adds its parts. */
static step_round one_step(step_clock *clock, double parts[STEP_PARTS]) {
    const step_round *rounds;
    ls_error error = {0};
    step_clock_begin(clock, true, &error);
    spend(0.004);
    step_clock_waiting(clock, &error);
    spend(0.002);
    step_clock_resumed(clock, &error);
    step_clock_mark(clock, STEP_BACKWARD, &error);
    spend(0.008);
    step_clock_mark(clock, STEP_OPTIMIZER, &error);
    step_clock_collect(clock, parts, &error);
    CHECK(step_clock_rounds(clock, &rounds) == 1, " ");
    return rounds[0];
}

/* A busy machine adds time and never takes it away, so only sums are exact. */
static void test_tail(step_clock *clock) {
    double first[STEP_PARTS] = {0}, second[STEP_PARTS] = {0};
    step_round one = one_step(clock, first), two = one_step(clock, second);
    double tail = first[STEP_BACKWARD] - one.busy_seconds + first[STEP_OPTIMIZER];
    CHECK(one.busy_seconds >= 0.004 && tail >= first[STEP_OPTIMIZER], "%g", one.busy_seconds);
    CHECK(near(one.exposed_seconds, first[STEP_COMMUNICATION]), "%g", one.exposed_seconds);
    CHECK(two.busy_seconds >= tail + 0.004 && two.busy_seconds <= tail + second[STEP_BACKWARD],
          "%g", two.busy_seconds);
    CHECK(near(two.exposed_seconds, second[STEP_COMMUNICATION]), "%g", two.exposed_seconds);
    check_case("the update of a step counts in the next one's round");
}

static void test_rounds(step_clock *clock) {
    const step_round *rounds;
    double parts[STEP_PARTS] = {0};
    ls_error error = {0};
    step_clock_begin(clock, false, &error); /* an evaluation: what came before is forgotten */
    step_clock_begin(clock, true, &error);
    for (int round = 0; round < 2; round++) {
        spend(0.003);
        step_clock_waiting(clock, &error);
        spend(0.001);
        step_clock_resumed(clock, &error);
        step_clock_round_ends(clock);
    }
    step_clock_mark(clock, STEP_FORWARD, &error);
    step_clock_collect(clock, parts, &error);
    CHECK(step_clock_rounds(clock, &rounds) == 2, " ");
    CHECK(rounds[0].busy_seconds >= 0.003 && rounds[1].busy_seconds >= 0.003, "%g %g",
          rounds[0].busy_seconds, rounds[1].busy_seconds);
    CHECK(rounds[0].busy_seconds + rounds[1].busy_seconds <= parts[STEP_FORWARD] + 1e-12, "%g + %g",
          rounds[0].busy_seconds, rounds[1].busy_seconds);
    CHECK(near(rounds[0].exposed_seconds + rounds[1].exposed_seconds, parts[STEP_COMMUNICATION]),
          "%g", parts[STEP_COMMUNICATION]);
    step_clock_begin(clock, false, &error);
    step_clock_begin(clock, true, &error); /* no collective at all */
    spend(0.002);
    step_clock_mark(clock, STEP_DATA, &error);
    memset(parts, 0, sizeof parts);
    step_clock_collect(clock, parts, &error);
    CHECK(step_clock_rounds(clock, &rounds) == 1 && rounds[0].exposed_seconds == 0 &&
              near(rounds[0].busy_seconds, parts[STEP_DATA]),
          "%g", rounds[0].busy_seconds);
    check_case("a round goes from where ranks last waited for each other to where they do again");
}

static void test_clock(void) {
    static const device_request request = {.local_size = 1, .threads = 1};
    device *device = NULL;
    device_stream *stream = NULL;
    step_clock *clock = NULL;
    ls_error error = {0};
    CHECK(device_open("ref", &request, &device, &error) == LS_OK, "%s", error.text);
    device->is->stream_create(device, &stream, &error);
    step_clock_create(device, stream, &clock, &error);
    test_tail(clock);
    test_rounds(clock);
    step_clock_destroy(clock);
    device->is->stream_destroy(device, stream);
    device_close(device);
}

int main(void) {
    test_waiting();
    test_pace();
    test_clock();
    return check_done();
}
