// Streams and events.
#include "runtime.h"

#include <algorithm>
#include <unordered_set>

namespace emulated {

enum { LEAST_PRIORITY = 0, GREATEST_PRIORITY = -5 };

std::vector<CUstream_st *> &streams() {
    static auto *all = new std::vector<CUstream_st *>{new CUstream_st};
    return *all;
}

CUstream_st *stream_of(cudaStream_t stream, const char *what) {
    if (!stream)
        return streams()[0];
    if (std::find(streams().begin(), streams().end(), stream) == streams().end() ||
        stream->destroyed)
        emulated_violation("%s: not a stream, or one that was destroyed", what);
    return stream;
}

void forget_if_finished(CUstream_st *stream) {
    if (!stream->destroyed || !stream->queue.empty())
        return;
    streams().erase(std::find(streams().begin(), streams().end(), stream));
    delete stream;
}

static std::unordered_set<CUevent_st *> &events() {
    static auto *all = new std::unordered_set<CUevent_st *>;
    return *all;
}

static CUevent_st *event_of(cudaEvent_t event, const char *what) {
    if (!events().count(event))
        emulated_violation("%s: not an event, or one that was destroyed", what);
    return event;
}

// An event whose last record was in a recording says nothing of work that ran.
static cudaError_t not_recorded(const CUevent_st *event, const char *what) {
    if (!event->capture)
        return cudaSuccess;
    capture *now = capture_by_id(event->capture);
    if (!now)
        emulated_violation("%s: the event was last recorded in a graph's recording", what);
    spoil(now);
    return cudaErrorStreamCaptureUnsupported;
}

} // namespace emulated

using namespace emulated;

extern "C" void emulated_check_stream(cudaStream_t stream, const char *what) {
    locked guard(lock());
    stream_of(stream, what);
}

extern "C" bool emulated_is_capturing(cudaStream_t stream) {
    locked guard(lock());
    return stream_of(stream, "a stream")->recording;
}

extern "C" cudaError_t cudaStreamCreateWithFlags(cudaStream_t *out, unsigned flags) {
    api_call call("cudaStreamCreateWithFlags");
    if (flags != cudaStreamNonBlocking)
        emulated_violation("a stream without cudaStreamNonBlocking is not emulated");
    cudaError_t status = use_device();
    if (status != cudaSuccess)
        return result(status);
    static int made;
    *out = new CUstream_st;
    (*out)->number = ++made;
    streams().push_back(*out);
    emulated_count("streams", 1);
    return cudaSuccess;
}

// A priority outside the range is clamped to it, as the real runtime does.
extern "C" cudaError_t cudaStreamCreateWithPriority(cudaStream_t *out, unsigned flags,
                                                    int priority) {
    cudaError_t status = cudaStreamCreateWithFlags(out, flags);
    if (status == cudaSuccess)
        (*out)->priority = std::clamp(priority, (int)GREATEST_PRIORITY, (int)LEAST_PRIORITY);
    return status;
}

extern "C" cudaError_t cudaStreamCreate(cudaStream_t *out) {
    return cudaStreamCreateWithFlags(out, cudaStreamDefault);
}

extern "C" cudaError_t cudaDeviceGetStreamPriorityRange(int *least, int *greatest) {
    *least = LEAST_PRIORITY, *greatest = GREATEST_PRIORITY;
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamDestroy(cudaStream_t stream) {
    api_call call("cudaStreamDestroy");
    if (!stream)
        return result(cudaErrorInvalidResourceHandle);
    CUstream_st *which = stream_of(stream, "cudaStreamDestroy");
    if (which->recording)
        emulated_violation("cudaStreamDestroy: the stream is being recorded");
    emulated_count("streams", -1);
    which->destroyed = true; // what is in it still runs
    forget_if_finished(which);
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
    api_call call("cudaStreamSynchronize");
    CUstream_st *which = stream_of(stream, "cudaStreamSynchronize");
    cudaError_t status = allowed_on(which);
    if (status == cudaSuccess)
        run_stream(which);
    return result(status);
}

extern "C" cudaError_t cudaStreamQuery(cudaStream_t stream) {
    api_call call("cudaStreamQuery");
    CUstream_st *which = stream_of(stream, "cudaStreamQuery");
    cudaError_t status = allowed_on(which);
    if (status != cudaSuccess)
        return result(status);
    bool done = which->queue.empty();
    if (!done)
        run_some();
    return result(done ? cudaSuccess : cudaErrorNotReady);
}

extern "C" cudaError_t cudaDeviceSynchronize(void) {
    api_call call("cudaDeviceSynchronize");
    cudaError_t status = use_device();
    if (status == cudaSuccess)
        status = allowed_now();
    if (status == cudaSuccess)
        run_all();
    return result(status);
}

extern "C" cudaError_t cudaEventCreateWithFlags(cudaEvent_t *out, unsigned flags) {
    api_call call("cudaEventCreateWithFlags");
    cudaError_t status = use_device();
    if (status != cudaSuccess)
        return result(status);
    *out = new CUevent_st;
    (*out)->flags = flags;
    events().insert(*out);
    emulated_count("events", 1);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventCreate(cudaEvent_t *out) {
    return cudaEventCreateWithFlags(out, cudaEventDefault);
}

extern "C" cudaError_t cudaEventDestroy(cudaEvent_t event) {
    api_call call("cudaEventDestroy");
    events().erase(event_of(event, "cudaEventDestroy"));
    delete event;
    emulated_count("events", -1);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t stream) {
    api_call call("cudaEventRecord");
    CUevent_st *which = event_of(event, "cudaEventRecord");
    CUstream_st *where = stream_of(stream, "cudaEventRecord");
    if (where->recording)
        return result(record_event(where, which));
    which->capture = 0;
    which->last = std::make_shared<mark>();
    enqueue_record(where, which->last);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream,
                                                unsigned flags) {
    if (flags != cudaEventRecordDefault)
        emulated_violation("cudaEventRecordWithFlags: external events are not emulated");
    return cudaEventRecord(event, stream);
}

extern "C" cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t event, unsigned flags) {
    api_call call("cudaStreamWaitEvent");
    if (flags != cudaEventWaitDefault)
        emulated_violation("cudaStreamWaitEvent: external events are not emulated");
    CUevent_st *which = event_of(event, "cudaStreamWaitEvent");
    CUstream_st *where = stream_of(stream, "cudaStreamWaitEvent");
    if (where->recording || capture_by_id(which->capture))
        return result(record_wait(where, which));
    not_recorded(which, "cudaStreamWaitEvent");
    if (which->last)
        enqueue_wait(where, which->last);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventQuery(cudaEvent_t event) {
    api_call call("cudaEventQuery");
    CUevent_st *which = event_of(event, "cudaEventQuery");
    cudaError_t status = not_recorded(which, "cudaEventQuery");
    if (status == cudaSuccess)
        status = allowed_now();
    if (status != cudaSuccess || !which->last)
        return result(status);
    bool done = which->last->done;
    if (!done)
        run_some();
    return result(done ? cudaSuccess : cudaErrorNotReady);
}

extern "C" cudaError_t cudaEventSynchronize(cudaEvent_t event) {
    api_call call("cudaEventSynchronize");
    CUevent_st *which = event_of(event, "cudaEventSynchronize");
    cudaError_t status = not_recorded(which, "cudaEventSynchronize");
    if (status == cudaSuccess)
        status = allowed_now();
    if (status != cudaSuccess || !which->last)
        return result(status);
    std::shared_ptr<mark> where = which->last;
    run_until(*where);
    return cudaSuccess;
}

extern "C" cudaError_t cudaEventElapsedTime(float *milliseconds, cudaEvent_t from, cudaEvent_t to) {
    api_call call("cudaEventElapsedTime");
    const CUevent_st *ends[] = {event_of(from, "cudaEventElapsedTime"),
                                event_of(to, "cudaEventElapsedTime")};
    for (const CUevent_st *end : ends) {
        not_recorded(end, "cudaEventElapsedTime");
        if (!end->last || (end->flags & cudaEventDisableTiming))
            return result(cudaErrorInvalidResourceHandle);
        if (!end->last->done)
            return result(cudaErrorNotReady);
    }
    *milliseconds = (float)((ends[1]->last->seconds - ends[0]->last->seconds) * 1e3);
    return cudaSuccess;
}
