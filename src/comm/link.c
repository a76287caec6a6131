/* The clock around collectives. */
#include "comm/link_timing.h"

#include "base/clock.h"
#include "device/device.h"

#include <stdlib.h>

enum { FEWEST_CALLS = 3, WARM_CALLS = 2, PLACES_BYTES = 32 << 20, MOST_AT_ONCE = 4 };

const char *link_call_name(link_call call) {
    return call == LINK_ALLREDUCE ? "allreduce" : "allgather";
}

void timed_close(timed_call *self) {
    comm *comm = self->probe->comm;
    free(self->counts);
    if (self->memory)
        comm->is->release(comm, self->memory);
}

int timed_open(timed_call *self, const link_probe *probe, link_call call, dtype type, size_t bytes,
               ls_error *error) {
    size_t ranks = (size_t)probe->comm->size, element = dtype_bytes(type);
    size_t elements = bytes / element < ranks ? ranks : bytes / element;
    *self = (timed_call){.probe = probe, .call = call, .type = type, .bytes = elements * element};
    self->counts = calloc(ranks, sizeof *self->counts);
    if (!self->counts)
        return ls_fail(error, LS_FAILED, "no memory to measure the network with");
    for (size_t rank = 0; rank < ranks; rank++)
        self->counts[rank] =
            (int64_t)(elements * (rank + 1) / ranks) - (int64_t)(elements * rank / ranks);
    size_t places = PLACES_BYTES * 2 / ranks / self->bytes; /* on a node each maps them all */
    self->places = places < 2 ? 2 : places > LINK_MOST_CALLS ? LINK_MOST_CALLS : (int)places;
    return probe->comm->is->allocate(probe->comm, (size_t)self->places * self->bytes,
                                     "the network's measurement", &self->memory, error);
}

static char *place_of(const timed_call *self, int number) {
    return (char *)self->memory + (size_t)(number % self->places) * self->bytes;
}

/* What is communicated was just computed: it lies in this core's caches, where another core or the
 * network's card must fetch it from. */
static int write_place(const timed_call *self, int number, ls_error *error) {
    const link_probe *probe = self->probe;
    char *place = place_of(self, number);
    if (probe->stream && !probe->device->facts.host_addressable) {
        LS_TRY(
            probe->device->is->fill_zero(probe->device, probe->stream, place, self->bytes, error));
        return probe->device->is->stream_synchronize(probe->device, probe->stream, error);
    }
    volatile char *line = place; /* no store that goes around the caches */
    for (size_t at = 0; at < self->bytes; at += 64)
        line[at] = 0;
    return LS_OK;
}

int timed_make_ready(const timed_call *self, int first, int count, ls_error *error) {
    for (int number = first; number < first + count; number++)
        LS_TRY(write_place(self, number, error));
    return self->probe->control->is->barrier(self->probe->control, error);
}

int timed_begin(const timed_call *self, int number, comm_work *work, ls_error *error) {
    comm *comm = self->probe->comm;
    char *place = place_of(self, number);
    if (self->call == LINK_ALLREDUCE)
        return comm->is->allreduce(comm, self->probe->stream, place,
                                   self->bytes / dtype_bytes(self->type), self->type, REDUCTION_SUM,
                                   work, error);
    return comm->is->allgather(comm, self->probe->stream, place, self->counts, self->type, work,
                               error);
}

int timed_wait(const timed_call *self, comm_work *work, ls_error *error) {
    const link_probe *probe = self->probe;
    LS_TRY(probe->comm->is->wait(probe->comm, probe->stream, work, error));
    return probe->stream
               ? probe->device->is->stream_synchronize(probe->device, probe->stream, error)
               : LS_OK;
}

static int time_alone(const timed_call *self, int number, double *seconds, ls_error *error) {
    comm_work work = {0};
    LS_TRY(timed_make_ready(self, number, 1, error));
    double began = clock_seconds();
    LS_TRY(timed_begin(self, number, &work, error));
    LS_TRY(timed_wait(self, &work, error));
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

int timed_choose_count(comm *control, double seconds, double seconds_a_size, int made, int *calls,
                       ls_error *error) {
    LS_TRY(comm_allreduce_double(control, &seconds, 1, REDUCTION_MAX, error));
    double fit = seconds > 0 ? seconds_a_size / seconds - made : LINK_MOST_CALLS;
    *calls = fit < FEWEST_CALLS ? FEWEST_CALLS : fit > LINK_MOST_CALLS ? LINK_MOST_CALLS : (int)fit;
    return LS_OK;
}

int timed_agree_on_median(comm *control, double *values, int count, double *out, ls_error *error) {
    LS_TRY(comm_allreduce_double(control, values, (size_t)count, REDUCTION_MAX, error));
    *out = median(values, count);
    return LS_OK;
}

static int measure_one(const timed_call *self, double seconds_a_size, double *seconds,
                       double *spread, ls_error *error) {
    double times[LINK_MOST_CALLS];
    int calls;
    for (int number = 0; number < WARM_CALLS; number++) /* the first one makes connections */
        LS_TRY(time_alone(self, number, seconds, error));
    LS_TRY(timed_choose_count(self->probe->control, *seconds, seconds_a_size, WARM_CALLS, &calls,
                              error));
    for (int number = 0; number < calls; number++)
        LS_TRY(time_alone(self, number, &times[number], error));
    LS_TRY(timed_agree_on_median(self->probe->control, times, calls, seconds, error));
    *spread = (times[calls - 1 - calls / 4] - times[calls / 4]) / 2; /* sorted for the median */
    return LS_OK;
}

static int measure_size(const link_probe *self, link_call call, dtype type, size_t bytes,
                        double seconds_a_size, double *seconds, double *spread, ls_error *error) {
    timed_call timed;
    int status = timed_open(&timed, self, call, type, bytes, error);
    if (status == LS_OK)
        status = measure_one(&timed, seconds_a_size, seconds, spread, error);
    timed_close(&timed);
    return status;
}

int link_measure(const link_probe *self, link_call call, dtype type, const size_t *bytes, int count,
                 double *seconds, double *spread, ls_error *error) {
    for (int index = 0; index < count; index++) {
        double unasked, *deviation = spread ? &spread[index] : &unasked;
        seconds[index] = *deviation = 0;
        if (self->comm->size > 1)
            LS_TRY(measure_size(self, call, type, bytes[index], SECONDS_A_SIZE, &seconds[index],
                                deviation, error));
    }
    return LS_OK;
}

/* ---- within a time */

/* The largest sizes measured so far, and what is left of the time; the same on all ranks. */
typedef struct bounded {
    const link_probe *probe;
    link_call call;
    dtype type;
    double began, limit_seconds, left_seconds;
    int sizes_left; /* that were asked for */
    int measured;
    size_t bytes[2]; /* the last but one, the last */
    double seconds[2], spread;
} bounded;

static int look_at_clock(bounded *self, ls_error *error) {
    double passed = clock_seconds() - self->began;
    LS_TRY(comm_allreduce_double(self->probe->control, &passed, 1, REDUCTION_MAX, error));
    self->left_seconds = self->limit_seconds - passed;
    return LS_OK;
}

/* At worst its time grows with its bytes. The first two are measured in any case: a line needs
 * them, and they are small. */
static bool fits(const bounded *self, size_t bytes) {
    double calls = WARM_CALLS + FEWEST_CALLS;
    return self->measured < 2 ||
           calls * self->seconds[1] * (double)bytes / (double)self->bytes[1] < self->left_seconds;
}

static int measure_next(bounded *self, size_t bytes, ls_error *error) {
    double share = self->left_seconds / self->sizes_left, seconds, spread;
    LS_TRY(measure_size(self->probe, self->call, self->type, bytes,
                        share < SECONDS_A_SIZE ? share : SECONDS_A_SIZE, &seconds, &spread, error));
    self->bytes[0] = self->bytes[1];
    self->seconds[0] = self->seconds[1];
    self->bytes[1] = bytes;
    self->seconds[1] = seconds;
    self->spread = spread;
    self->measured++;
    return look_at_clock(self, error);
}

/* On the line through the last two that were measured. */
static double extended(const bounded *self, size_t bytes) {
    double slope =
        (self->seconds[1] - self->seconds[0]) / ((double)self->bytes[1] - (double)self->bytes[0]);
    return self->seconds[1] + (slope > 0 ? slope : 0) * ((double)bytes - (double)self->bytes[1]);
}

int link_measure_within(const link_probe *probe, link_call call, dtype type, const size_t *bytes,
                        int count, double limit_seconds, double *seconds, double *spread,
                        ls_error *error) {
    enum { STEP = 64 }; /* from one size to the next, at most */
    bounded self = {.probe = probe,
                    .call = call,
                    .type = type,
                    .began = clock_seconds(),
                    .limit_seconds = limit_seconds,
                    .left_seconds = limit_seconds};
    for (int index = 0; index < count; index++) {
        seconds[index] = spread[index] = 0;
        if (probe->comm->size == 1)
            continue;
        self.sizes_left = count - index;
        while (self.measured && bytes[index] / STEP > self.bytes[1] &&
               fits(&self, self.bytes[1] * STEP))
            LS_TRY(measure_next(&self, self.bytes[1] * STEP, error));
        if (fits(&self, bytes[index])) {
            LS_TRY(measure_next(&self, bytes[index], error));
            seconds[index] = self.seconds[1];
        } else {
            seconds[index] = extended(&self, bytes[index]);
        }
        spread[index] = self.spread;
    }
    return LS_OK;
}

/* ---- one behind the other */

static int time_several(const timed_call *self, int at_once, double *seconds, ls_error *error) {
    comm_work works[MOST_AT_ONCE] = {{0}};
    LS_TRY(timed_make_ready(self, 0, at_once, error));
    double began = clock_seconds();
    for (int number = 0; number < at_once; number++)
        LS_TRY(timed_begin(self, number, &works[number], error));
    for (int number = 0; number < at_once; number++)
        LS_TRY(timed_wait(self, &works[number], error));
    *seconds = clock_seconds() - began;
    return LS_OK;
}

static int measure_following(const timed_call *self, double alone, double *out, ls_error *error) {
    int at_once = self->places < MOST_AT_ONCE ? self->places : MOST_AT_ONCE, calls;
    double times[LINK_MOST_CALLS], all;
    LS_TRY(timed_choose_count(self->probe->control, alone * at_once, SECONDS_A_SIZE, 0, &calls,
                              error));
    for (int number = 0; number < calls; number++)
        LS_TRY(time_several(self, at_once, &times[number], error));
    LS_TRY(timed_agree_on_median(self->probe->control, times, calls, &all, error));
    *out = all > alone ? (all - alone) / (at_once - 1) : 0;
    return LS_OK;
}

int link_measure_following(const link_probe *self, link_call call, dtype type, size_t bytes,
                           double alone_seconds, double *seconds, ls_error *error) {
    timed_call timed;
    *seconds = 0;
    if (self->comm->size == 1)
        return LS_OK;
    int status = timed_open(&timed, self, call, type, bytes, error);
    if (status == LS_OK)
        status = measure_following(&timed, alone_seconds, seconds, error);
    timed_close(&timed);
    return status;
}
