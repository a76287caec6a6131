// The stand-in for the CUDA runtime, tested itself: what it must compute, and each mistake that it
// must catch (in a child process, which must end with a violation that says so).
#include "emulated.h"
#include "test_kernels.h"

#include "../unit/check.h"

#include <cstdlib>
#include <cstring>
#include <string>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace {

void must(cudaError_t status, const char *what) {
    if (status != cudaSuccess) {
        fprintf(stderr, "%s: %s\n", what, cudaGetErrorName(status));
        exit(1);
    }
}
#define MUST(call) must(call, #call)

cudaStream_t make_stream() {
    cudaStream_t stream;
    MUST(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    return stream;
}

cudaEvent_t make_event() {
    cudaEvent_t event;
    MUST(cudaEventCreateWithFlags(&event, cudaEventDisableTiming));
    return event;
}

template <class T> T *on_device(const std::vector<T> &values) {
    void *out;
    MUST(cudaMalloc(&out, values.size() * sizeof(T)));
    MUST(cudaMemcpy(out, values.data(), values.size() * sizeof(T), cudaMemcpyHostToDevice));
    return (T *)out;
}

template <class T> std::vector<T> from_device(const T *values, size_t count) {
    std::vector<T> out(count);
    MUST(cudaMemcpy(out.data(), values, count * sizeof(T), cudaMemcpyDeviceToHost));
    return out;
}

// --- what works

void test_kernels() {
    cudaStream_t stream = make_stream();
    const int count = 1000;
    std::vector<int> values(count);
    for (int at = 0; at < count; at++)
        values[(size_t)at] = at % 7 - 2;
    int *device = on_device(values), *sums = on_device(std::vector<int>(4)),
        *votes = on_device(std::vector<int>(4));
    MUST(launch_add_one(stream, device, count));
    MUST(launch_block_sums(stream, device, count, sums, votes));
    MUST(cudaStreamSynchronize(stream));
    std::vector<int> got_sums = from_device(sums, 4), got_votes = from_device(votes, 4);
    for (size_t block = 0; block < 4; block++) {
        int sum = 0, above = 0;
        for (size_t at = block * 256; at < block * 256 + 256 && at < count; at++)
            sum += values[at] + 1, above += values[at] + 1 > 0;
        CHECK(got_sums[block] == sum && got_votes[block] == above,
              "block %zu: %d and %d, not %d, %d", block, got_sums[block], got_votes[block], sum,
              above);
    }
    int *lanes = on_device(std::vector<int>(128));
    MUST(launch_shuffles(stream, lanes));
    MUST(cudaStreamSynchronize(stream));
    std::vector<int> got = from_device(lanes, 128);
    for (int lane = 0; lane < 32; lane++) {
        int want[4] = {lane / 8 * 8 + 3, lane ^ 5, lane ? lane - 1 : 0,
                       lane % 16 < 12 ? lane + 4 : lane};
        CHECK(memcmp(want, &got[(size_t)lane * 4], sizeof want) == 0, "lane %d", lane);
    }
    std::vector<int> ascending(256);
    for (int at = 0; at < 256; at++)
        ascending[(size_t)at] = at;
    int *row = on_device(ascending);
    MUST(launch_reverse(stream, row, true));
    MUST(cudaStreamSynchronize(stream));
    got = from_device(row, 256);
    for (int at = 0; at < 256; at++)
        CHECK(got[(size_t)at] == 255 - at, "%d at %d", got[(size_t)at], at);
    CHECK(launch_too_large(stream, device) == cudaErrorInvalidConfiguration, "2048 threads");
    CHECK(cudaGetLastError() == cudaErrorInvalidConfiguration && cudaGetLastError() == cudaSuccess,
          "the last error is reported once");
    for (int *each : {device, sums, votes, lanes, row})
        MUST(cudaFree(each));
    MUST(cudaStreamDestroy(stream));
    check_case("kernels: indices, barriers, shared memory, shuffles, votes, atomics");
}

// Without a barrier some seed's order of threads must give a wrong result.
void test_missing_barrier() {
    cudaStream_t stream = make_stream();
    int wrong = 0;
    for (int turn = 0; turn < 20; turn++) {
        int *row = on_device(std::vector<int>(256, 7));
        MUST(launch_reverse(stream, row, false));
        MUST(cudaStreamSynchronize(stream));
        for (int each : from_device(row, 256))
            wrong += each != 7;
        MUST(cudaFree(row));
    }
    CHECK(wrong > 0, "%d", wrong);
    int *out = on_device(std::vector<int>(1));
    MUST(launch_uninitialised(stream, out));
    MUST(cudaStreamSynchronize(stream));
    CHECK(from_device(out, 1)[0] == -1, "shared memory starts as garbage");
    MUST(cudaFree(out));
    MUST(cudaStreamDestroy(stream));
    check_case("a missing __syncthreads and unwritten shared memory show");
}

// Two streams and one event: 0 -> 1 in `first`, copied in `second`. True: the copy saw it.
bool two_streams(bool wait) {
    cudaStream_t first = make_stream(), second = make_stream();
    cudaEvent_t event = make_event();
    int *from = on_device(std::vector<int>(1)), *to = on_device(std::vector<int>(1));
    MUST(launch_add_one(first, from, 1));
    MUST(cudaEventRecord(event, first));
    if (wait)
        MUST(cudaStreamWaitEvent(second, event, 0));
    MUST(cudaMemcpyAsync(to, from, sizeof(int), cudaMemcpyDeviceToDevice, second));
    MUST(cudaStreamSynchronize(second));
    bool saw = from_device(to, 1)[0] == 1;
    MUST(cudaStreamSynchronize(first));
    MUST(cudaEventDestroy(event));
    MUST(cudaStreamDestroy(first));
    MUST(cudaStreamDestroy(second));
    MUST(cudaFree(from));
    MUST(cudaFree(to));
    return saw;
}

void test_missing_wait() {
    int with = 0, without = 0;
    for (int turn = 0; turn < 40; turn++) {
        with += two_streams(true);
        without += two_streams(false);
    }
    CHECK(with == 40, "with the wait %d of 40", with);
    CHECK(without > 0 && without < 40, "without it %d of 40", without);
    check_case("streams run in any order that events allow: a missing wait shows");
}

void test_queries() {
    cudaStream_t stream = make_stream();
    cudaEvent_t event = make_event();
    int *value = on_device(std::vector<int>(1));
    CHECK(cudaEventQuery(event) == cudaSuccess, "never recorded");
    int late = 0;
    for (int turn = 0; turn < 30; turn++) {
        MUST(launch_add_one(stream, value, 1));
        MUST(cudaEventRecord(event, stream));
        cudaError_t status;
        while ((status = cudaEventQuery(event)) == cudaErrorNotReady)
            late++;
        CHECK(status == cudaSuccess, "%d", (int)status);
        cudaGetLastError();
    }
    CHECK(late > 0, "no query ever came too early");
    CHECK(from_device(value, 1)[0] == 30, "%d", from_device(value, 1)[0]);
    float milliseconds;
    CHECK(cudaEventElapsedTime(&milliseconds, event, event) == cudaErrorInvalidResourceHandle,
          "timing was disabled");
    cudaGetLastError();
    MUST(cudaFree(value));
    MUST(cudaEventDestroy(event));
    MUST(cudaStreamDestroy(stream));
    check_case("queries are answered 'not ready' until the work is done");
}

// Fork to a second stream and back, replayed three times.
void test_graph() {
    cudaStream_t stream = make_stream(), side = make_stream();
    cudaEvent_t fork = make_event(), join = make_event();
    std::vector<int> zeros(300);
    int *a = on_device(zeros), *b = on_device(zeros);
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    MUST(launch_add_one(stream, a, 300));
    MUST(cudaEventRecord(fork, stream));
    MUST(cudaStreamWaitEvent(side, fork, 0));
    CHECK(emulated_is_capturing(side), "the wait joins the recording");
    MUST(launch_add_one(side, b, 300));
    MUST(launch_add_one(stream, a, 300));
    MUST(cudaEventRecord(join, side));
    MUST(cudaStreamWaitEvent(stream, join, 0));
    MUST(cudaMemcpyAsync(a, b, 100 * sizeof(int), cudaMemcpyDeviceToDevice, stream));
    cudaGraph_t graph;
    cudaGraphExec_t executable;
    MUST(cudaStreamEndCapture(stream, &graph));
    size_t nodes;
    MUST(cudaGraphGetNodes(graph, nullptr, &nodes));
    CHECK(nodes == 4, "%zu nodes", nodes);
    CHECK(from_device(a, 1)[0] == 0, "recording ran something");
    MUST(cudaGraphInstantiate(&executable, graph, 0));
    MUST(cudaGraphDestroy(graph));
    for (int turn = 0; turn < 3; turn++)
        MUST(cudaGraphLaunch(executable, stream));
    MUST(cudaStreamSynchronize(stream));
    std::vector<int> got = from_device(a, 300);
    CHECK(got[0] == 3 && got[99] == 3 && got[100] == 6 && got[299] == 6, "%d %d", got[0], got[100]);
    MUST(cudaGraphExecDestroy(executable));
    for (cudaEvent_t each : {fork, join})
        MUST(cudaEventDestroy(each));
    for (cudaStream_t each : {stream, side})
        MUST(cudaStreamDestroy(each));
    MUST(cudaFree(a));
    MUST(cudaFree(b));
    check_case("a recording with a fork and a join, replayed");
}

void test_spoilt_recordings() {
    cudaStream_t stream = make_stream(), side = make_stream();
    cudaEvent_t event = make_event();
    void *memory;
    cudaGraph_t graph;
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    CHECK(cudaMalloc(&memory, 16) == cudaErrorStreamCaptureUnsupported, "allocation");
    CHECK(cudaEventRecord(event, stream) == cudaErrorStreamCaptureInvalidated, "after it");
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated && !graph,
          "its end");
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    CHECK(cudaStreamSynchronize(stream) == cudaErrorStreamCaptureUnsupported, "synchronise");
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated, "its end");
    cudaGetLastError();
    int *value = on_device(std::vector<int>(1));
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    MUST(cudaEventRecord(event, stream));
    MUST(cudaStreamWaitEvent(side, event, 0));
    MUST(launch_add_one(side, value, 1));
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureUnjoined, "a fork left");
    MUST(cudaEventRecord(event, side));
    MUST(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
    CHECK(cudaStreamWaitEvent(stream, event, 0) == cudaErrorStreamCaptureIsolation, "from outside");
    CHECK(cudaStreamEndCapture(stream, &graph) == cudaErrorStreamCaptureInvalidated, "its end");
    cudaGetLastError();
    MUST(cudaFree(value));
    MUST(cudaEventDestroy(event));
    for (cudaStream_t each : {stream, side})
        MUST(cudaStreamDestroy(each));
    check_case("what may not stand in a recording is refused, and spoils it");
}

void test_out_of_memory() {
    size_t free_bytes, total;
    MUST(cudaMemGetInfo(&free_bytes, &total));
    void *half, *too_much;
    MUST(cudaMalloc(&half, total / 1024));
    CHECK(cudaMalloc(&too_much, total) == cudaErrorMemoryAllocation, "more than there is");
    CHECK(strcmp(cudaGetErrorString(cudaGetLastError()), "out of memory") == 0, "its text");
    size_t less;
    MUST(cudaMemGetInfo(&less, &total));
    CHECK(less == free_bytes - total / 1024, "%zu", less);
    MUST(cudaFree(half));
    check_case("memory ends where the knob says");
}

// --- what must be caught: each ends its process

int *device_int() {
    return on_device(std::vector<int>(4));
}

void host_reads() {
    int *value = device_int();
    printf("%d\n", *(volatile int *)value);
}
void host_writes() {
    *(volatile int *)device_int() = 1;
}
void wrong_kind() {
    int mine = 0;
    cudaMemcpy(device_int(), &mine, sizeof mine, cudaMemcpyDeviceToDevice);
}
void too_long() {
    int mine[8] = {};
    cudaMemcpy(device_int(), mine, sizeof mine, cudaMemcpyHostToDevice);
}
void after_free() {
    int *value = device_int();
    cudaFree(value);
    launch_add_one(make_stream(), value, 1);
}
void freed_before_run() {
    cudaStream_t stream = make_stream();
    void *pinned;
    MUST(cudaMallocHost(&pinned, 64));
    cudaMemcpyAsync(device_int(), pinned, 4, cudaMemcpyHostToDevice, stream);
    cudaFreeHost(pinned);
    cudaStreamSynchronize(stream);
}
void twice_free() {
    int *value = device_int();
    cudaFree(value);
    cudaFree(value);
}
void leak() {
    device_int();
    exit(0);
}
void pageable_argument() {
    static int mine[4];
    launch_add_one(make_stream(), mine, 4);
}
void past_the_end() {
    cudaStream_t stream = make_stream();
    int *page = on_device(std::vector<int>(1024));
    launch_past_the_end(stream, page, 1023); // 1024 of 1024
    int *value = on_device(std::vector<int>(1001));
    launch_past_the_end(stream, value, 1001);
    cudaStreamSynchronize(stream);
    cudaFree(value);
}
void some_leave() {
    cudaStream_t stream = make_stream();
    launch_some_leave(stream, on_device(std::vector<int>(64)));
    cudaStreamSynchronize(stream);
}
void half_a_shuffle() {
    cudaStream_t stream = make_stream();
    launch_half_a_shuffle(stream, on_device(std::vector<int>(32)));
    cudaStreamSynchronize(stream);
}
void before_allocated() {
    cudaStream_t stream = make_stream(), other = make_stream();
    void *memory;
    MUST(cudaMallocAsync(&memory, 64, stream));
    MUST(launch_add_one(other, (int *)memory, 1));
    cudaStreamSynchronize(other);
}
void calls_back(void *) {
    cudaGetDeviceCount((int *)nullptr);
}
void call_from_work() {
    cudaStream_t stream = make_stream();
    cudaLaunchHostFunc(stream, calls_back, nullptr);
    cudaStreamSynchronize(stream);
}
void destroyed_stream() {
    cudaStream_t stream = make_stream();
    cudaStreamDestroy(stream);
    launch_add_one(stream, device_int(), 1);
}

const struct {
    const char *name;
    void (*mistake)();
    const char *text;
    bool late = false; // seen only where work runs as late as it may
} mistakes[] = {
    {"the host reads device memory", host_reads,
     "the host touched device memory, device memory #1"},
    {"the host writes device memory", host_writes, "the host touched device memory"},
    {"a copy of the wrong kind", wrong_kind,
     "cudaMemcpyDeviceToDevice out of pageable host memory"},
    {"a copy that is too long", too_long,
     "a copy's target: 32 bytes at device memory #1 (16 bytes)"},
    {"a kernel on freed memory", after_free, "freed or was never allocated"},
    {"pinned memory freed too early", freed_before_run, "a copy's source: expected pinned", true},
    {"a double free", twice_free, "cudaFree: device memory that is freed"},
    {"a leak", leak, "left at exit: 1 device allocations"},
    {"a kernel on pageable memory", pageable_argument, "pageable host memory"},
    {"a kernel that writes past the end", past_the_end, nullptr},
    {"a thread that leaves before a barrier", some_leave, "kernel some_leave(int*): "},
    {"a shuffle that half a warp makes", half_a_shuffle, "kernel half_a_shuffle(int*): "},
    {"memory used before its allocation", before_allocated, "not made yet in stream order", true},
    {"a CUDA call from device work", call_from_work, "cudaGetDeviceCount was called from device"},
    {"a launch into a destroyed stream", destroyed_stream, "one that was destroyed"},
};

void test_mistakes() {
    for (const auto &each : mistakes) {
        int ends[2];
        if (pipe(ends) != 0)
            exit(1);
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            dup2(ends[1], 2);
            if (each.late)
                setenv("LOCKSTEP_EMULATED_ORDER", "late", 1);
            each.mistake();
            _exit(0);
        }
        close(ends[1]);
        std::string text;
        char piece[512];
        for (ssize_t got; (got = read(ends[0], piece, sizeof piece)) > 0;)
            text.append(piece, (size_t)got);
        close(ends[0]);
        int status = 0;
        waitpid(child, &status, 0);
        // Past an end, AddressSanitizer speaks first where the program is built with it.
        bool named = each.text
                         ? text.find(each.text) != std::string::npos
                         : text.find("past the end of device memory") != std::string::npos ||
                               text.find("AddressSanitizer: use-after-poison") != std::string::npos;
        bool ended = WIFEXITED(status) && (WEXITSTATUS(status) == EMULATED_VIOLATION_EXIT ||
                                           (!each.text && WEXITSTATUS(status) != 0));
        CHECK(named && ended, "status %#x, text: %s", (unsigned)status,
              text.substr(0, 300).c_str());
        check_case(each.name);
    }
}

} // namespace

int main() {
    test_mistakes(); // first: the children start from a fresh device
    test_kernels();
    test_missing_barrier();
    test_missing_wait();
    test_queries();
    test_graph();
    test_spoilt_recordings();
    test_out_of_memory();
    return check_done();
}
