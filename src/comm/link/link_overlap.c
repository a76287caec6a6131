/* The clock around a collective beside computing. */
#include "base/clock.h"
#include "comm/link/link_timing.h"
#include "comm/link/pump.h"
#include "device/device.h"

#include <math.h>

/* Something that a compiler keeps, that uses the caches as computing does. */
static double compute(int64_t units) {
    static volatile float values[1 << 20];
    static unsigned at;
    double began = clock_seconds();
    for (; units > 0; units--)
        for (int index = 0; index < 256; index++, at++)
            values[at % (sizeof values / sizeof values[0])] += 1.0f;
    return clock_seconds() - began;
}

/* Work, not time: what the system does meanwhile makes it longer, and that is seen. Over many
 * turns of the scheduler, whose cores may have other work too. */
static int64_t units_of(double seconds) {
    static const double LONG_ENOUGH = 0.05;
    enum { UNITS = 1000 };
    double spent = 0;
    int64_t done = 0;
    for (; spent < LONG_ENOUGH; done += UNITS)
        spent += compute(UNITS);
    double units = seconds / spent * (double)done;
    return units < 1 ? 1 : (int64_t)units;
}

/* A collective that needs calls of all its ranks is not done before several of them were made. */
enum { MOST_GAPS = 16 };
static const double LEAST_GAP = 10e-6;

typedef struct overlap_times {
    double computing, longer, waiting;
} overlap_times;

/* The calls of one size: one at a time is on its way. */
typedef struct overlapped {
    const timed_call *timed;
    double alone, gap;
    int64_t units; /* of computing: a gap */
    comm_work work;
    pump *pump; /* NULL: none */
} overlapped;

static bool is_done(const overlapped *self) {
    return comm_is_done(self->timed->probe->comm, &self->work);
}

static bool is_busy(void *context) {
    return !is_done(context);
}

static int begin(overlapped *self, int number, ls_error *error) {
    pump_hold(self->pump);
    int status = timed_begin(self->timed, number, &self->work, error);
    pump_let_go(self->pump);
    return status;
}

static int get_on(overlapped *self, bool *done, ls_error *error) {
    comm *comm = self->timed->probe->comm;
    pump_hold(self->pump);
    int status = pump_check(self->pump, error);
    if (status == LS_OK)
        status = comm->is->progress(comm, error);
    *done = is_done(self);
    pump_let_go(self->pump);
    return status;
}

static int wait(overlapped *self, ls_error *error) {
    pump_hold(self->pump);
    int status = timed_wait(self->timed, &self->work, error);
    pump_let_go(self->pump);
    return status;
}

static int time_overlapped(overlapped *self, int number, overlap_times *out, ls_error *error) {
    bool done = false;
    *out = (overlap_times){0};
    LS_TRY(timed_make_ready(self->timed, number, 1, error));
    double before = clock_seconds();
    LS_TRY(begin(self, number, error));
    out->longer = clock_seconds() - before;
    double most = self->alone + MOST_GAPS * self->gap;
    for (; !done && out->computing < most; out->computing += self->gap) {
        out->longer += compute(self->units) - self->gap;
        before = clock_seconds();
        LS_TRY(get_on(self, &done, error));
        out->longer += clock_seconds() - before;
    }
    before = clock_seconds();
    LS_TRY(wait(self, error));
    out->waiting = clock_seconds() - before;
    return LS_OK;
}

static int measure_overlap(overlapped *self, link_overlap *out, ls_error *error) {
    double computing_s[LINK_MOST_CALLS], longer_s[LINK_MOST_CALLS], waiting_s[LINK_MOST_CALLS];
    double computing, longer, waiting;
    comm *control = self->timed->probe->control;
    int count;
    overlap_times times;
    double began = clock_seconds();
    LS_TRY(time_overlapped(self, 0, &times, error));
    LS_TRY(timed_choose_count(control, clock_seconds() - began, SECONDS_A_SIZE, 0, &count, error));
    for (int number = 0; number < count; number++) {
        LS_TRY(time_overlapped(self, number, &times, error));
        computing_s[number] = times.computing;
        longer_s[number] = times.longer;
        waiting_s[number] = times.waiting;
    }
    LS_TRY(timed_agree_on_median(control, computing_s, count, &computing, error));
    LS_TRY(timed_agree_on_median(control, longer_s, count, &longer, error));
    LS_TRY(timed_agree_on_median(control, waiting_s, count, &waiting, error));
    double passed = self->alone > waiting ? self->alone - waiting : 0;
    out->slowdown = computing > 0 ? fmax(longer, 0) / computing : 0;
    out->progress = computing > 0 ? fmin(passed / computing, 1 + out->slowdown) : 0;
    return LS_OK;
}

int link_measure_overlap(const link_probe *self, link_call call, dtype type, size_t bytes,
                         double alone_seconds, double gap_seconds, link_overlap *out,
                         ls_error *error) {
    timed_call timed;
    overlapped calls = {
        .timed = &timed, .alone = alone_seconds, .gap = fmax(gap_seconds, LEAST_GAP)};
    *out = (link_overlap){.progress = 1};
    if (self->comm->size == 1 || (self->device && self->device->facts.asynchronous))
        return LS_OK;
    calls.units = units_of(calls.gap);
    int status = timed_open(&timed, self, call, type, bytes, error);
    if (status == LS_OK && self->pumped)
        status = pump_start(self->comm, is_busy, &calls, &calls.pump, error);
    if (status == LS_OK)
        status = measure_overlap(&calls, out, error);
    pump_stop(calls.pump);
    timed_close(&timed);
    return status;
}
