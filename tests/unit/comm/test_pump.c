/* A pump works while something is on its way, and sleeps otherwise. */
#include "comm/link/pump.h"

#include "../check.h"
#include "base/clock.h"

#include <stdatomic.h>
#include <time.h>

typedef struct counting_comm {
    comm base;
    atomic_int calls;
    int most; /* so many calls bring the work to its end; under the pump's lock */
    bool fails;
} counting_comm;

static int progress(comm *base, ls_error *error) {
    counting_comm *self = (counting_comm *)base;
    atomic_fetch_add(&self->calls, 1);
    return self->fails ? ls_fail(error, LS_FAILED, "the link is gone") : LS_OK;
}

static bool is_busy(void *context) {
    counting_comm *self = context;
    return atomic_load(&self->calls) < self->most;
}

static const comm_interface counting = {.name = "counting", .progress = progress};

static void nap(double seconds) {
    struct timespec time = {.tv_nsec = (long)(seconds * 1e9)};
    nanosleep(&time, NULL);
}

/* The calls once there are `expected`, or after 10 seconds what there is; a little later, so that
 * one too many would be seen. */
static int calls_of(counting_comm *comm, int expected) {
    double began = clock_seconds();
    while (atomic_load(&comm->calls) < expected && clock_seconds() - began < 10)
        nap(0.001);
    nap(0.02);
    return atomic_load(&comm->calls);
}

static void more(counting_comm *comm, pump *pump, int most) {
    pump_hold(pump);
    comm->most = most;
    pump_let_go(pump);
}

int main(void) {
    counting_comm comm = {.base = {.is = &counting}};
    pump *pump = NULL;
    ls_error error = {0};
    CHECK(pump_start(&comm.base, is_busy, &comm, &pump, &error) == LS_OK, "%s", error.text);
    CHECK(calls_of(&comm, 0) == 0, "%d calls for nothing", atomic_load(&comm.calls));
    more(&comm, pump, 5);
    CHECK(calls_of(&comm, 5) == 5, "%d calls for 5", atomic_load(&comm.calls));
    more(&comm, pump, 8);
    CHECK(calls_of(&comm, 8) == 8, "%d calls for 3 more", atomic_load(&comm.calls) - 5);
    check_case("it works while something is on its way");

    pump_hold(pump);
    CHECK(pump_check(pump, &error) == LS_OK, "%s", error.text);
    comm.fails = true;
    comm.most = 100;
    pump_let_go(pump);
    CHECK(calls_of(&comm, 9) == 9, "%d calls where the first fails", atomic_load(&comm.calls) - 8);
    pump_hold(pump);
    CHECK(pump_check(pump, &error) == LS_FAILED, "%s", "a failure is told");
    pump_let_go(pump);
    pump_stop(pump);
    pump_stop(NULL);
    check_case("a failure ends it, and is told");
    return check_done();
}
