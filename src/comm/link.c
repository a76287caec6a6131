/* The clock around collectives. */
#include "comm/link.h"

#include "base/clock.h"
#include "device/device.h"

#include <math.h>
#include <stdlib.h>

/* A call is repeated for half a second, within these; the buffer is walked through, so that a call
 * finds its bytes as cold as a step's are. */
enum { FEWEST_CALLS = 3, MOST_CALLS = 31, PLACES_BYTES = 32 << 20, MOST_AT_ONCE = 4 };
static const double SECONDS_A_SIZE = 0.5;

const char *link_call_name(link_call call) {
    return call == LINK_ALLREDUCE ? "allreduce" : "allgather";
}

typedef struct timed_call {
    const link_probe *probe;
    link_call call;
    dtype type;
    size_t bytes;    /* rounded down to whole elements, at least one a rank */
    int64_t *counts; /* all-gather: [ranks] */
    int places;
    void *memory; /* `places` times `bytes` */
} timed_call;

static void close_call(timed_call *self) {
    comm *comm = self->probe->comm;
    free(self->counts);
    if (self->memory)
        comm->is->release(comm, self->memory);
}

static int open_call(timed_call *self, const link_probe *probe, link_call call, dtype type,
                     size_t bytes, ls_error *error) {
    size_t ranks = (size_t)probe->comm->size, element = dtype_bytes(type);
    size_t elements = bytes / element < ranks ? ranks : bytes / element;
    *self = (timed_call){.probe = probe, .call = call, .type = type, .bytes = elements * element};
    self->counts = calloc(ranks, sizeof *self->counts);
    if (!self->counts)
        return ls_fail(error, LS_FAILED, "no memory to measure the network with");
    for (size_t rank = 0; rank < ranks; rank++)
        self->counts[rank] =
            (int64_t)(elements * (rank + 1) / ranks) - (int64_t)(elements * rank / ranks);
    size_t places = PLACES_BYTES / self->bytes;
    self->places = places < 2 ? 2 : places > MOST_CALLS ? MOST_CALLS : (int)places;
    return probe->comm->is->allocate(probe->comm, (size_t)self->places * self->bytes,
                                     "the network's measurement", &self->memory, error);
}

static int begin(const timed_call *self, int number, comm_work *work, ls_error *error) {
    comm *comm = self->probe->comm;
    char *place = (char *)self->memory + (size_t)(number % self->places) * self->bytes;
    if (self->call == LINK_ALLREDUCE)
        return comm->is->allreduce(comm, self->probe->stream, place,
                                   self->bytes / dtype_bytes(self->type), self->type, REDUCTION_SUM,
                                   work, error);
    return comm->is->allgather(comm, self->probe->stream, place, self->counts, self->type, work,
                               error);
}

static int wait(const timed_call *self, comm_work *work, ls_error *error) {
    const link_probe *probe = self->probe;
    LS_TRY(probe->comm->is->wait(probe->comm, probe->stream, work, error));
    return probe->stream
               ? probe->device->is->stream_synchronize(probe->device, probe->stream, error)
               : LS_OK;
}

static int time_alone(const timed_call *self, int number, double *seconds, ls_error *error) {
    comm *control = self->probe->control;
    comm_work work = {0};
    LS_TRY(control->is->barrier(control, error));
    double began = clock_seconds();
    LS_TRY(begin(self, number, &work, error));
    LS_TRY(wait(self, &work, error));
    *seconds = clock_seconds() - began;
    return LS_OK;
}

static int compare_doubles(const void *a, const void *b) {
    double first = *(const double *)a, second = *(const double *)b;
    return (first > second) - (first < second);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, compare_doubles);
    return count % 2 ? values[count / 2] : (values[count / 2 - 1] + values[count / 2]) / 2;
}

/* How often a call of this duration is made: the same on all ranks. */
static int choose_calls(comm *control, double seconds, int *calls, ls_error *error) {
    LS_TRY(comm_allreduce_double(control, &seconds, 1, REDUCTION_MAX, error));
    double fit = seconds > 0 ? SECONDS_A_SIZE / seconds : MOST_CALLS;
    *calls = fit < FEWEST_CALLS ? FEWEST_CALLS : fit > MOST_CALLS ? MOST_CALLS : (int)fit;
    return LS_OK;
}

/* The slowest rank of each call; then the median, the same bits everywhere. */
static int agree_on_median(comm *control, double *values, int count, double *out, ls_error *error) {
    LS_TRY(comm_allreduce_double(control, values, (size_t)count, REDUCTION_MAX, error));
    *out = median(values, count);
    return LS_OK;
}

static int measure_one(const timed_call *self, double *seconds, double *spread, ls_error *error) {
    double times[MOST_CALLS];
    int calls;
    for (int number = 0; number < 2; number++) /* the first one makes connections */
        LS_TRY(time_alone(self, number, seconds, error));
    LS_TRY(choose_calls(self->probe->control, *seconds, &calls, error));
    for (int number = 0; number < calls; number++)
        LS_TRY(time_alone(self, number, &times[number], error));
    LS_TRY(agree_on_median(self->probe->control, times, calls, seconds, error));
    *spread = (times[calls - 1 - calls / 4] - times[calls / 4]) / 2; /* sorted for the median */
    return LS_OK;
}

int link_measure(const link_probe *self, link_call call, dtype type, const size_t *bytes, int count,
                 double *seconds, double *spread, ls_error *error) {
    for (int index = 0; index < count; index++) {
        timed_call timed;
        double unasked, *deviation = spread ? &spread[index] : &unasked;
        seconds[index] = *deviation = 0;
        if (self->comm->size == 1)
            continue;
        int status = open_call(&timed, self, call, type, bytes[index], error);
        if (status == LS_OK)
            status = measure_one(&timed, &seconds[index], deviation, error);
        close_call(&timed);
        LS_TRY(status);
    }
    return LS_OK;
}

/* ---- one behind the other */

static int time_several(const timed_call *self, int at_once, double *seconds, ls_error *error) {
    comm *control = self->probe->control;
    comm_work works[MOST_AT_ONCE] = {{0}};
    LS_TRY(control->is->barrier(control, error));
    double began = clock_seconds();
    for (int number = 0; number < at_once; number++)
        LS_TRY(begin(self, number, &works[number], error));
    for (int number = 0; number < at_once; number++)
        LS_TRY(wait(self, &works[number], error));
    *seconds = clock_seconds() - began;
    return LS_OK;
}

static int measure_following(const timed_call *self, double alone, double *out, ls_error *error) {
    int at_once = self->places < MOST_AT_ONCE ? self->places : MOST_AT_ONCE, calls;
    double times[MOST_CALLS], all;
    LS_TRY(choose_calls(self->probe->control, alone * at_once, &calls, error));
    for (int number = 0; number < calls; number++)
        LS_TRY(time_several(self, at_once, &times[number], error));
    LS_TRY(agree_on_median(self->probe->control, times, calls, &all, error));
    *out = all > alone ? (all - alone) / (at_once - 1) : 0;
    return LS_OK;
}

int link_measure_following(const link_probe *self, link_call call, dtype type, size_t bytes,
                           double alone_seconds, double *seconds, ls_error *error) {
    timed_call timed;
    *seconds = 0;
    if (self->comm->size == 1)
        return LS_OK;
    int status = open_call(&timed, self, call, type, bytes, error);
    if (status == LS_OK)
        status = measure_following(&timed, alone_seconds, seconds, error);
    close_call(&timed);
    return status;
}

/* ---- overlap */

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

typedef struct overlap_times {
    double computing, longer, waiting;
} overlap_times;

static int time_overlapped(const timed_call *self, int number, double alone, double gap,
                           int64_t units, overlap_times *out, ls_error *error) {
    comm *comm = self->probe->comm, *control = self->probe->control;
    comm_work work = {0};
    *out = (overlap_times){0};
    LS_TRY(control->is->barrier(control, error));
    double before = clock_seconds();
    LS_TRY(begin(self, number, &work, error));
    out->longer = clock_seconds() - before;
    for (; out->computing < alone; out->computing += gap) {
        out->longer += compute(units) - gap;
        before = clock_seconds();
        LS_TRY(comm->is->progress(comm, error));
        out->longer += clock_seconds() - before;
    }
    before = clock_seconds();
    LS_TRY(wait(self, &work, error));
    out->waiting = clock_seconds() - before;
    return LS_OK;
}

static int measure_overlap(const timed_call *self, double alone, double gap, link_overlap *out,
                           ls_error *error) {
    double longer_s[MOST_CALLS], waiting[MOST_CALLS], longer, left, computing = 0;
    int64_t units = units_of(gap);
    comm *control = self->probe->control;
    int count;
    LS_TRY(choose_calls(control, 2 * alone + gap, &count, error));
    for (int number = 0; number < count; number++) {
        overlap_times times;
        LS_TRY(time_overlapped(self, number, alone, gap, units, &times, error));
        longer_s[number] = times.longer;
        computing = times.computing;
        waiting[number] = times.waiting;
    }
    LS_TRY(agree_on_median(control, longer_s, count, &longer, error));
    LS_TRY(agree_on_median(control, waiting, count, &left, error));
    double passed = alone > left ? alone - left : 0;
    out->progress = computing > 0 ? fmin(passed / computing, 1) : 0;
    out->slowdown = computing > 0 ? fmax(longer, 0) / computing : 0;
    return LS_OK;
}

int link_measure_overlap(const link_probe *self, link_call call, dtype type, size_t bytes,
                         double alone_seconds, double gap_seconds, link_overlap *out,
                         ls_error *error) {
    timed_call timed;
    *out = (link_overlap){.progress = 1};
    if (self->comm->size == 1 || (self->device && self->device->facts.asynchronous))
        return LS_OK;
    int status = open_call(&timed, self, call, type, bytes, error);
    if (status == LS_OK)
        status = measure_overlap(&timed, alone_seconds, gap_seconds, out, error);
    close_call(&timed);
    return status;
}
