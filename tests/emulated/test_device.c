/* The cuda device's memory, streams, events and graphs on the emulated runtime, of which there are
 * two GPUs: this process is local rank 1, so that a call that forgets which GPU is its own is
 * caught by the runtime (a second context). */
#include "device/ops.h"

#include "../unit/check.h"

#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        ls_error error = {0};                                                                      \
        int status = (call);                                                                       \
        CHECK(status == LS_OK, "%d: %s", status, error.text);                                      \
    } while (0)

enum { COUNT = 1000, BYTES = COUNT * 4 };

static uint32_t *pinned(device *gpu) {
    void *memory = NULL;
    MUST(gpu->is->host_allocate(gpu, BYTES, &memory, &error));
    return memory;
}

static void *allocated(device *gpu, size_t bytes) {
    void *memory = NULL;
    MUST(gpu->is->allocate(gpu, bytes, "a test", &memory, &error));
    return memory;
}

static device *opened(void) {
    device *gpu = NULL;
    device_request request = {.local_rank = 1, .local_size = 2, .threads = 1, .plan_cache = ""};
    MUST(device_open("cuda", &request, &gpu, &error));
    return gpu;
}

static void test_facts(device *gpu) {
    const device_facts *facts = &gpu->facts;
    CHECK(strlen(facts->uuid) == 40 && strncmp(facts->uuid, "GPU-", 4) == 0, "%s", facts->uuid);
    CHECK(strcmp(facts->uuid + 38, "01") == 0, "not the second GPU: %s", facts->uuid);
    CHECK(strcmp(facts->pci_bus_id, "0000:11:00.0") == 0, "%s", facts->pci_bus_id);
    CHECK(strstr(facts->driver, "CUDA ") != NULL, "%s", facts->driver);
    CHECK(strncmp(facts->library, "CUDA ", 5) == 0 && strstr(facts->library, ", cuDNN ") &&
              strstr(facts->library, ", cuBLASLt "),
          "%s", facts->library);
    CHECK(facts->asynchronous && !facts->host_addressable, "a GPU");
    for (int wanted = 0; wanted < PRECISION_COUNT; wanted++)
        MUST(gpu->is->check_precision(gpu, (precision)wanted, &error));
    check_case("facts");
}

/* On a rank's only core the host sleeps while it waits for the GPU. */
static void test_waiting(void) {
    unsigned flags = 0;
    CHECK(cudaGetDeviceFlags(&flags) == cudaSuccess && flags == cudaDeviceScheduleBlockingSync,
          "flags %u", flags);
    check_case("a rank with one core waits asleep");
}

static void test_memory(device *gpu, device_stream *stream) {
    size_t free_before, free_now, total;
    uint32_t *host = pinned(gpu), any = 0;
    for (int i = 0; i < COUNT; i++)
        any |= host[i];
    CHECK(any == 0, "pinned memory is not zero-filled");
    MUST(gpu->is->memory(gpu, &free_before, &total, &error));
    for (int round = 0; round < 2; round++) { /* the second gets what the first released */
        void *memory = allocated(gpu, BYTES);
        CHECK((uintptr_t)memory % 256 == 0, "%p", memory);
        memset(host, 0xff, BYTES);
        MUST(gpu->is->copy(gpu, stream, host, memory, BYTES, COPY_DEVICE_TO_HOST, &error));
        MUST(gpu->is->stream_synchronize(gpu, stream, &error));
        for (int i = 0; i < COUNT; i++)
            any |= host[i];
        CHECK(any == 0, "round %d: device memory is not zero-filled", round);
        memset(host, 0xff, BYTES);
        MUST(gpu->is->copy(gpu, stream, memory, host, BYTES, COPY_HOST_TO_DEVICE, &error));
        MUST(gpu->is->memory(gpu, &free_now, &total, &error));
        CHECK(free_now + BYTES <= free_before && free_now < total, "%zu of %zu, before %zu",
              free_now, total, free_before);
        gpu->is->release(gpu, memory); /* while the copy may still be queued */
    }
    MUST(gpu->is->memory(gpu, &free_now, &total, &error));
    CHECK(free_now == free_before, "released memory is not free: %zu, before %zu", free_now,
          free_before);
    void *nothing = allocated(gpu, 0);
    CHECK(nothing != NULL, "0 bytes");
    gpu->is->release(gpu, nothing);
    gpu->is->host_release(gpu, host);
    check_case("memory");
}

/* Freed in pieces, asked for as a whole: what the arena keeps must not be what is missing. */
static void test_arena(device *gpu) {
    size_t free_bytes, total;
    void *pieces[2];
    MUST(gpu->is->memory(gpu, &free_bytes, &total, &error));
    for (int i = 0; i < 2; i++)
        pieces[i] = allocated(gpu, free_bytes / 5 * 2);
    for (int i = 0; i < 2; i++)
        gpu->is->release(gpu, pieces[i]);
    void *whole = allocated(gpu, free_bytes / 5 * 4);
    CHECK(whole != NULL, "none");
    gpu->is->release(gpu, whole);
    check_case("what was freed in pieces serves as a whole");
    size_t most = 0;
    MUST(gpu->is->most_held(gpu, &most, &error));
    CHECK(most >= free_bytes / 5 * 4 && most <= total, "%zu of %zu bytes", most, total);
    check_case("the most that was held stays known");
}

static void test_out_of_memory(device *gpu) {
    size_t free_bytes, total;
    void *memory;
    MUST(gpu->is->memory(gpu, &free_bytes, &total, &error));
    size_t too_much[] = {total + 1, SIZE_MAX};
    for (int i = 0; i < 2; i++) {
        ls_error error = {0};
        int status = gpu->is->allocate(gpu, too_much[i], "the activations", &memory, &error);
        CHECK(status == LS_BAD_INPUT, "%d", status);
        CHECK(strstr(error.text, "asked for the activations") && strstr(error.text, "free of"),
              "%s", error.text);
    }
    void *fits = allocated(gpu, free_bytes / 2); /* the failure is not remembered */
    gpu->is->release(gpu, fits);
    check_case("out of memory");
}

static void test_events(device *gpu, device_stream *stream) {
    device_stream *other;
    device_event *start, *end;
    bool done = false;
    double seconds = -1;
    uint32_t *host = pinned(gpu), *back = pinned(gpu);
    void *memory = allocated(gpu, BYTES), *copy = allocated(gpu, BYTES);
    MUST(gpu->is->stream_create(gpu, &other, &error));
    MUST(gpu->is->event_create(gpu, &start, &error));
    MUST(gpu->is->event_create(gpu, &end, &error));
    for (uint32_t i = 0; i < COUNT; i++)
        host[i] = i * 7 + 1;
    MUST(gpu->is->event_record(gpu, start, stream, &error));
    MUST(gpu->is->copy(gpu, stream, memory, host, BYTES, COPY_HOST_TO_DEVICE, &error));
    MUST(gpu->is->event_record(gpu, end, stream, &error));
    MUST(gpu->is->stream_wait_event(gpu, other, end, &error));
    MUST(gpu->is->copy(gpu, other, copy, memory, BYTES, COPY_ON_DEVICE, &error));
    MUST(gpu->is->copy(gpu, other, back, copy, BYTES, COPY_DEVICE_TO_HOST, &error));
    MUST(gpu->is->event_record(gpu, end, other, &error));
    for (int polls = 0; !done && polls < 1000000; polls++)
        MUST(gpu->is->event_query(gpu, end, &done, &error));
    CHECK(done, "the event never came");
    CHECK(memcmp(host, back, BYTES) == 0, "other bytes came back");
    MUST(gpu->is->event_synchronize(gpu, end, &error));
    MUST(gpu->is->event_seconds(gpu, start, end, &seconds, &error));
    CHECK(seconds >= 0 && seconds < 60, "%g s", seconds);
    gpu->is->event_destroy(gpu, start), gpu->is->event_destroy(gpu, end);
    gpu->is->stream_destroy(gpu, other);
    gpu->is->release(gpu, memory), gpu->is->release(gpu, copy);
    gpu->is->host_release(gpu, host), gpu->is->host_release(gpu, back);
    check_case("streams and events");
}

/* Each launch clears memory, brings what `host` holds by then, and writes a word. */
static void test_graph(device *gpu, device_stream *stream) {
    device_graph *graph;
    uint32_t *host = pinned(gpu), *back = pinned(gpu), *word = pinned(gpu);
    void *memory = allocated(gpu, BYTES);
    MUST(gpu->is->graph_begin(gpu, stream, &error));
    MUST(gpu->is->fill_zero(gpu, stream, memory, BYTES, &error));
    MUST(gpu->is->copy(gpu, stream, memory, host, BYTES / 2, COPY_HOST_TO_DEVICE, &error));
    MUST(gpu->is->copy(gpu, stream, back, memory, BYTES, COPY_DEVICE_TO_HOST, &error));
    MUST(gpu->is->write_word(gpu, stream, word, 42, &error));
    MUST(gpu->is->graph_end(gpu, stream, &graph, &error));
    CHECK(*word == 0, "recorded work has run");
    for (uint32_t launch = 1; launch <= 3; launch++) {
        memset(back, 0xff, BYTES);
        for (int i = 0; i < COUNT; i++)
            host[i] = launch;
        *word = 0;
        MUST(gpu->is->graph_launch(gpu, graph, stream, &error));
        MUST(gpu->is->stream_synchronize(gpu, stream, &error));
        CHECK(*word == 42 && back[0] == launch && back[COUNT / 2 - 1] == launch &&
                  back[COUNT / 2] == 0 && back[COUNT - 1] == 0,
              "launch %u: word %u, %u, %u", launch, *word, back[0], back[COUNT - 1]);
    }
    gpu->is->graph_destroy(gpu, graph);
    gpu->is->release(gpu, memory);
    gpu->is->host_release(gpu, host), gpu->is->host_release(gpu, back);
    gpu->is->host_release(gpu, word);
    check_case("graphs");
}

static void test_broken_recording(device *gpu) {
    device_stream *stream;
    device_graph *graph = NULL;
    ls_error error = {0};
    MUST(gpu->is->stream_create(gpu, &stream, &error));
    MUST(gpu->is->graph_begin(gpu, stream, &error));
    int status = gpu->is->stream_synchronize(gpu, stream, &error);
    CHECK(status == LS_FAILED && strstr(error.text, "waiting for a stream") &&
              strstr(error.text, "recorded"),
          "%d: %s", status, error.text);
    ls_error at_end = {0};
    status = gpu->is->graph_end(gpu, stream, &graph, &at_end);
    CHECK(status == LS_FAILED && graph == NULL, "%d: %s", status, at_end.text);
    MUST(gpu->is->stream_synchronize(gpu, stream, &error)); /* the stream itself is well */
    gpu->is->stream_destroy(gpu, stream);
    check_case("a broken recording names the call");
}

/* An update from two ranks' gradients reads and writes host memory: other devices' work. */
static void test_no_pairs(const device *gpu) {
    const ops *ops = gpu->is->ops;
    CHECK(!ops->adam_pair && !ops->sgd_pair, "the device offers updates of pairs");
    check_case("no update from two ranks' gradients is offered");
}

static void test_avoided(void) {
    device_request request = {.local_rank = 1, .local_size = 2, .threads = 1, .plan_cache = ""};
    device *gpu = NULL;
    ls_error error = {0};
    setenv("LOCKSTEP_CUDA_AVOID", "cudnn,fused", 1);
    CHECK(device_open("cuda", &request, &gpu, &error) == LS_BAD_INPUT &&
              strstr(error.text, "unknown word 'fused'"),
          "%s", error.text);
    setenv("LOCKSTEP_CUDA_AVOID", "cudnn,fused-sums", 1);
    gpu = opened();
    CHECK(gpu && gpu->fallbacks.count == 1 && strstr(gpu->fallbacks.lines[0], "cudnn,fused-sums"),
          "it is not said");
    device_close(gpu);
    unsetenv("LOCKSTEP_CUDA_AVOID");
    check_case("what LOCKSTEP_CUDA_AVOID names");
}

typedef struct polling {
    device *gpu;
    device_stream *stream;
} polling;

/* What a watcher does: an event of its own, which it asks for until it has come. */
static void *poll_event(void *argument) {
    polling *self = argument;
    device_event *event = NULL;
    bool done = false;
    MUST(self->gpu->is->event_create(self->gpu, &event, &error));
    MUST(self->gpu->is->event_record(self->gpu, event, self->stream, &error));
    while (!done)
        MUST(self->gpu->is->event_query(self->gpu, event, &done, &error));
    self->gpu->is->event_destroy(self->gpu, event);
    return NULL;
}

/* A thread that never chose a GPU. */
static void test_another_thread(device *gpu, device_stream *stream) {
    pthread_t thread;
    polling argument = {.gpu = gpu, .stream = stream};
    pthread_create(&thread, NULL, poll_event, &argument);
    pthread_join(thread, NULL);
    check_case("another thread works on the same GPU");
}

int main(void) {
    setenv("LOCKSTEP_EMULATED_GPUS", "2", 1);
    setenv("LOCKSTEP_EMULATED_MEMORY_MIB", "64", 1);
    device *gpu = opened();
    if (!gpu)
        return 1;
    device_stream *stream;
    MUST(gpu->is->stream_create(gpu, &stream, &error));
    test_facts(gpu);
    test_waiting();
    test_memory(gpu, stream);
    test_arena(gpu);
    test_out_of_memory(gpu);
    test_events(gpu, stream);
    test_graph(gpu, stream);
    test_broken_recording(gpu);
    test_another_thread(gpu, stream);
    test_no_pairs(gpu);
    gpu->is->stream_destroy(gpu, stream);
    device_close(gpu);
    test_avoided();
    return check_done();
}
