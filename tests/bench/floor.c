#include "floor.h"

#include "base/clock.h"
#include "base/random.h"

#include <stdlib.h>

enum { BLOCK = 1 << 18, ROUNDS = 7, MOST_CALLS = 200 };

void floor_must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "op_floor: %s\n", error->text);
    exit(status);
}

static void *device_memory(floor_bench *self, size_t bytes) {
    ls_error error = {0};
    void *memory;
    floor_must(self->device->is->allocate(self->device, bytes, "a tensor", &memory, &error),
               &error);
    return memory;
}

static void copy(floor_bench *self, void *to, const void *from, size_t bytes, copy_kind kind) {
    ls_error error = {0};
    floor_must(self->device->is->copy(self->device, self->stream, to, from, bytes, kind, &error),
               &error);
}

static void synchronize(floor_bench *self) {
    ls_error error = {0};
    floor_must(self->device->is->stream_synchronize(self->device, self->stream, &error), &error);
}

static void make_random(floor_bench *self) {
    static float values[BLOCK];
    ls_error error = {0};
    for (int i = 0; i < BLOCK; i += 4) {
        uint32_t bits[4];
        random_block(1, RANDOM_SYNTHETIC, 0, (uint64_t)i, bits);
        for (int k = 0; k < 4; k++)
            values[i + k] = (float)(bits[k] >> 8) * 0x1p-23f - 1;
    }
    for (int type = DTYPE_F32; type <= DTYPE_F16; type++)
        self->random[type] = device_memory(self, BLOCK * dtype_bytes((dtype)type));
    copy(self, self->random[DTYPE_F32], values, sizeof values, COPY_HOST_TO_DEVICE);
    for (int type = DTYPE_F32 + 1; type <= DTYPE_F16; type++)
        floor_must(self->ops->cast(self->device, self->stream, BLOCK, DTYPE_F32,
                                   self->random[DTYPE_F32], (dtype)type, self->random[type],
                                   &error),
                   &error);
    synchronize(self);
}

typedef struct copying {
    floor_bench *bench;
    void *to, *from;
    size_t bytes;
} copying;

static int call_copy(void *context, ls_error *error) {
    copying *c = context;
    device *device = c->bench->device;
    return device->is->copy(device, c->bench->stream, c->to, c->from, c->bytes, COPY_ON_DEVICE,
                            error);
}

static double measure_copy_rate(floor_bench *self) {
    size_t bytes = (self->small ? 16 : 256) * (size_t)1048576;
    copying c = {self, floor_bytes(self, bytes), floor_bytes(self, bytes), bytes};
    double rate = 2.0 * (double)bytes / floor_seconds(self, call_copy, &c);
    floor_release(self, c.to), floor_release(self, c.from);
    return rate;
}

void floor_open(floor_bench *self, const char *device_name, int threads, bool small) {
    ls_error error = {0};
    device_request request = {
        .local_size = 1, .threads = threads, .plan_cache = getenv("LOCKSTEP_TEST_PLANS")};
    *self = (floor_bench){.small = small};
    floor_must(device_open(device_name, &request, &self->device, &error), &error);
    self->ops = self->device->is->ops;
    floor_must(self->device->is->stream_create(self->device, &self->stream, &error), &error);
    make_random(self);
    self->copy_rate = measure_copy_rate(self);
}

void floor_close(floor_bench *self) {
    for (int type = DTYPE_F32; type <= DTYPE_F16; type++)
        floor_release(self, self->random[type]);
    self->device->is->stream_destroy(self->device, self->stream);
    device_close(self->device);
}

void *floor_bytes(floor_bench *self, size_t bytes) {
    return bytes ? device_memory(self, bytes) : NULL;
}

void *floor_array(floor_bench *self, size_t count, dtype type) {
    size_t bytes = count * dtype_bytes(type), block = BLOCK * dtype_bytes(type);
    char *memory = device_memory(self, bytes);
    for (size_t at = 0; at < bytes; at += block)
        copy(self, memory + at, self->random[type], bytes - at < block ? bytes - at : block,
             COPY_ON_DEVICE);
    synchronize(self);
    return memory;
}

void floor_release(floor_bench *self, void *memory) {
    if (memory)
        self->device->is->release(self->device, memory);
}

static void put(floor_call call, void *context, int calls) {
    ls_error error = {0};
    for (int i = 0; i < calls; i++)
        floor_must(call(context, &error), &error);
}

/* The stream is empty before and after. */
static double timed_calls(floor_bench *self, floor_call call, void *context, device_graph *graph,
                          int calls) {
    const device_interface *is = self->device->is;
    ls_error error = {0};
    double start = clock_seconds(), seconds;
    if (!self->device->facts.asynchronous) {
        put(call, context, calls);
        return clock_seconds() - start;
    }
    device_event *from, *to;
    floor_must(is->event_create(self->device, &from, &error), &error);
    floor_must(is->event_create(self->device, &to, &error), &error);
    floor_must(is->event_record(self->device, from, self->stream, &error), &error);
    if (graph)
        floor_must(is->graph_launch(self->device, graph, self->stream, &error), &error);
    else
        put(call, context, calls);
    floor_must(is->event_record(self->device, to, self->stream, &error), &error);
    floor_must(is->event_synchronize(self->device, to, &error), &error);
    floor_must(is->event_seconds(self->device, from, to, &seconds, &error), &error);
    is->event_destroy(self->device, from);
    is->event_destroy(self->device, to);
    return seconds;
}

static device_graph *record(floor_bench *self, floor_call call, void *context, int calls) {
    const device_interface *is = self->device->is;
    device_graph *graph = NULL;
    ls_error error = {0};
    if (!is->graph_begin)
        return NULL;
    floor_must(is->graph_begin(self->device, self->stream, &error), &error);
    put(call, context, calls);
    floor_must(is->graph_end(self->device, self->stream, &graph, &error), &error);
    return graph;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double floor_seconds(floor_bench *self, floor_call call, void *context) {
    double rounds[ROUNDS], round_seconds = self->small ? 1e-3 : 5e-3;
    int count = self->small ? 3 : ROUNDS;
    put(call, context, 2);
    synchronize(self);
    double once = timed_calls(self, call, context, NULL, 2) / 2;
    int calls = (int)(round_seconds / (once > 1e-6 ? once : 1e-6));
    calls = calls < 1 ? 1 : calls > MOST_CALLS ? MOST_CALLS : calls;
    device_graph *graph = record(self, call, context, calls);
    for (int round = -1; round < count; round++) { /* the first one uploads the graph */
        double seconds = timed_calls(self, call, context, graph, calls) / calls;
        if (round >= 0)
            rounds[round] = seconds;
    }
    if (graph)
        self->device->is->graph_destroy(self->device, graph);
    qsort(rounds, (size_t)count, sizeof *rounds, by_value);
    return rounds[count / 2];
}

void floor_row(floor_bench *self, const char *op, const char *shape, double bytes, double flop,
               bool ours, double seconds) {
    double by_bytes = bytes / self->copy_rate, by_flop = flop / self->product_rate;
    double lowest = by_bytes > by_flop ? by_bytes : by_flop;
    bool barred = ours && by_bytes >= by_flop && bytes >= FLOOR_BAR_BYTES;
    const char *bound = by_bytes > by_flop ? "memory" : "product";
    printf("%-24s %-5s %-26s %10.2f %10.2f  %-8s %6.1f%%%s\n", op, precision_name(self->precision),
           shape, seconds * 1e6, lowest * 1e6, bound, 100 * lowest / seconds,
           !barred                         ? ""
           : lowest / seconds >= FLOOR_BAR ? "  holds"
                                           : "  MISSED");
    fprintf(self->csv, "%s,%s,%s,%.9g,%.0f,%.0f,%.9g,%s,%.4f,%s\n", op,
            precision_name(self->precision), shape, seconds, bytes, flop, lowest, bound,
            lowest / seconds, barred ? "0.8" : "");
}
