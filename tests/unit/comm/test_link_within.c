/* link_budget's and link_measure_within's time, on a network that is made up: what a call takes is
 * said by its bytes, and passes on a clock that only such calls move (the linker puts it in
 * clock_seconds' place). */
#include "comm/link/link.h"

#include "../check.h"

#include <math.h>
#include <stdlib.h>

static const double LATENCY_SECONDS = 1e-3;
static double seconds_a_byte, seconds_an_agreement, now;
static int calls, largest_call, allocated;
static int turns = 1; /* that share the time */

double __wrap_clock_seconds(void);

double __wrap_clock_seconds(void) {
    return now;
}

/* Numbers of the control are the same on both ranks, so their maximum is there already. */
static int control_allreduce(comm *self, device_stream *stream, void *buffer, size_t count,
                             dtype type, reduction how, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)buffer, (void)count, (void)type, (void)how, (void)work;
    (void)error;
    now += seconds_an_agreement;
    return LS_OK;
}

static int allreduce(comm *self, device_stream *stream, void *buffer, size_t count, dtype type,
                     reduction how, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)buffer, (void)how, (void)work, (void)error;
    size_t bytes = count * dtype_bytes(type);
    calls++;
    largest_call = (int)bytes > largest_call ? (int)bytes : largest_call;
    now += LATENCY_SECONDS + (double)bytes * seconds_a_byte;
    return LS_OK;
}

static int barrier(comm *self, ls_error *error) {
    (void)self, (void)error;
    now += seconds_an_agreement;
    return LS_OK;
}

static int allocate(comm *self, size_t bytes, const char *what, void **out, ls_error *error) {
    (void)self;
    allocated++;
    *out = calloc(1, bytes);
    return *out ? LS_OK : ls_fail(error, LS_FAILED, "no memory for %s", what);
}

static void release(comm *self, void *memory) {
    (void)self;
    allocated--;
    free(memory);
}

static int wait_for(comm *self, device_stream *stream, comm_work *work, ls_error *error) {
    (void)self, (void)stream, (void)work, (void)error;
    return LS_OK;
}

static const comm_interface network = {.name = "made up",
                                       .allreduce = allreduce,
                                       .barrier = barrier,
                                       .allocate = allocate,
                                       .release = release,
                                       .wait = wait_for};
static const comm_interface agreement = {
    .name = "made up", .allreduce = control_allreduce, .barrier = barrier, .wait = wait_for};

static const size_t sizes[] = {4096, 65536, 1 << 20, 16 << 20};
enum { SIZES = sizeof sizes / sizeof sizes[0] };

/* The time it took. */
static double measure(int ranks, double byte_seconds, double limit, double seconds[SIZES]) {
    comm all = {.is = &network, .size = ranks}, control = {.is = &agreement, .size = ranks};
    link_room room = {0};
    link_probe probe = {.comm = &all, .control = &control, .room = &room};
    link_budget budget;
    double spread[SIZES], began = now;
    ls_error error = {0};
    seconds_a_byte = byte_seconds;
    calls = largest_call = 0;
    CHECK(link_budget_begin(&control, limit, &budget, &error) == LS_OK, "%s", error.text);
    for (int turn = 0; turn < turns; turn++)
        CHECK(link_measure_within(&probe, LINK_ALLREDUCE, DTYPE_F32, sizes, SIZES, &budget,
                                  limit * (turns - 1 - turn) / turns, seconds, spread,
                                  &error) == LS_OK,
              "%s", error.text);
    /* Before the first agreement there is no time, and nobody has timed the last one. */
    double left = limit - (now - began) + 2 * seconds_an_agreement;
    CHECK(fabs(left - budget.left_seconds) < 1e-9, "%g s are left, truly %g", budget.left_seconds,
          left);
    link_release_room(&probe);
    CHECK(allocated == 0, "%d blocks of memory are left", allocated);
    return now - began;
}

static void expect(const double seconds[SIZES]) {
    for (int index = 0; index < SIZES; index++) {
        double truth = LATENCY_SECONDS + (double)sizes[index] * seconds_a_byte;
        CHECK(fabs(seconds[index] / truth - 1) < 1e-6, "%zu bytes: %g s, truly %g", sizes[index],
              seconds[index], truth);
    }
}

static void enough_time(void) {
    double seconds[SIZES], took = measure(2, 1e-9, 0.5, seconds);
    CHECK(largest_call == 16 << 20, "the largest call had %d bytes", largest_call);
    CHECK(took < 0.5, "0.5 s were given, %g s were taken", took);
    expect(seconds);
    check_case("a fast network: every size is measured, within its time");
}

/* 16 MiB would take 1.7 s a call, 5 of them at least. */
static void too_little_time(void) {
    double seconds[SIZES], took = measure(2, 1e-7, 0.3, seconds);
    CHECK(largest_call < 1 << 20, "the largest call had %d bytes", largest_call);
    CHECK(took < 0.3, "0.3 s were given, %g s were taken", took);
    expect(seconds);
    check_case("a slow network: what does not fit is not tried, and lies on the line");
}

/* The first took what it needed of its part, the second is given what is left. */
static void shared_time(void) {
    double seconds[SIZES];
    turns = 3;
    double took = measure(2, 1e-7, 0.3, seconds);
    turns = 1;
    CHECK(took < 0.3, "0.3 s were given, %g s were taken", took);
    expect(seconds);
    check_case("three measurements share a time");
}

static void no_time(void) {
    double seconds[SIZES];
    seconds_an_agreement = 0.02; /* many ranks on few cores */
    double took = measure(64, 1e-9, 0.1, seconds);
    CHECK(calls == 0 && took < 0.1, "%d calls, 0.1 s were given, %g s were taken", calls, took);
    for (int index = 0; index < SIZES; index++)
        CHECK(fabs(seconds[index] / seconds_an_agreement - 1) < 1e-6, "%g s", seconds[index]);
    check_case("less than a call takes: nothing is measured but an agreement");

    seconds_an_agreement = 0.002;
    took = measure(64, 1e-9, 0.0205, seconds);
    CHECK(calls == 2 && took < 0.0205, "%d calls, 0.0205 s were given, %g s were taken", calls,
          took);
    for (int index = 0; index < SIZES; index++)
        CHECK(seconds[index] == seconds[0] && seconds[0] > LATENCY_SECONDS, "%g s", seconds[index]);
    check_case("time for one size: larger ones take as long");

    seconds_an_agreement = 0;
    measure(1, 1e-9, 1, seconds);
    CHECK(calls == 0 && seconds[SIZES - 1] == 0, "one rank: %d calls", calls);
    check_case("one rank: nothing");
}

int main(void) {
    enough_time();
    too_little_time();
    shared_time();
    no_time();
    return check_done();
}
