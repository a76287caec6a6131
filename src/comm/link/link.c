/* The clock around collectives. */
#include "comm/link/link_timing.h"

#include "base/clock.h"
#include "device/device.h"

#include <stdlib.h>

enum { PLACES_BYTES = 32 << 20, MOST_AT_ONCE = 4, FEW_RANKS = 8 };

const char *link_call_name(link_call call) {
    return call == LINK_ALLREDUCE ? "allreduce" : "allgather";
}

/* ---- memory */

/* On a node each rank maps all others'. */
static size_t places_bytes(const link_probe *probe) {
    return (size_t)PLACES_BYTES * 2 / (size_t)probe->comm->size;
}

/* Of many ranks a call's first touch of all others' pages takes longer than the call: as few as
 * the first calls, which do not count, pass through. */
static int places_of(const link_probe *probe, size_t bytes) {
    size_t fit = places_bytes(probe) / bytes;
    if (fit < 2 || (probe->room && probe->comm->size > FEW_RANKS))
        return 2;
    return fit > LINK_MOST_CALLS ? LINK_MOST_CALLS : (int)fit;
}

static int allocate(const link_probe *probe, size_t bytes, void **out, ls_error *error) {
    return probe->comm->is->allocate(probe->comm, bytes, "the network's measurement", out, error);
}

static int grow(const link_probe *probe, size_t bytes, ls_error *error) {
    link_room *room = probe->room;
    if (room->bytes >= bytes)
        return LS_OK;
    link_release_room(probe);
    room->bytes = bytes > places_bytes(probe) ? bytes : places_bytes(probe);
    return allocate(probe, room->bytes, &room->memory, error);
}

void link_release_room(const link_probe *probe) {
    link_room *room = probe->room;
    if (room->memory)
        probe->comm->is->release(probe->comm, room->memory);
    *room = (link_room){0};
}

void timed_close(timed_call *self) {
    comm *comm = self->probe->comm;
    free(self->counts);
    if (self->memory && !self->probe->room)
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
    self->places = places_of(probe, self->bytes);
    size_t all = (size_t)self->places * self->bytes;
    if (!probe->room)
        return allocate(probe, all, &self->memory, error);
    LS_TRY(grow(probe, all, error));
    self->memory = probe->room->memory;
    return LS_OK;
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

int timed_alone(const timed_call *self, int number, double *seconds, ls_error *error) {
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

void timed_sort(double *values, int count, double *middle, double *spread) {
    *middle = median(values, count);
    *spread = (values[count - 1 - count / 4] - values[count / 4]) / 2;
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
        LS_TRY(timed_alone(self, number, seconds, error));
    LS_TRY(timed_choose_count(self->probe->control, *seconds, seconds_a_size, WARM_CALLS, &calls,
                              error));
    for (int number = 0; number < calls; number++)
        LS_TRY(timed_alone(self, number, &times[number], error));
    LS_TRY(comm_allreduce_double(self->probe->control, times, (size_t)calls, REDUCTION_MAX, error));
    timed_sort(times, calls, seconds, spread);
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
