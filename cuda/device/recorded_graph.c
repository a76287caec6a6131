/* Streams, events and graphs of the cuda device: CUDA's own, behind the interface's names. */
#include "cuda/device/cuda_device.h"

#include "base/ending.h"

/* CUDA's number of an urgency: the lower, the sooner. Its own default, 0, is the least urgent, so
 * that NORMAL lies between. */
int cuda_priority(const cuda_device *self, stream_urgency urgency) {
    int least = 0, greatest = 0;
    if (self->avoided & CUDA_AVOID_PRIORITIES ||
        cudaDeviceGetStreamPriorityRange(&least, &greatest) != cudaSuccess)
        return 0;
    const int priorities[] = {
        [STREAM_LAST] = least, [STREAM_NORMAL] = (least + greatest) / 2, [STREAM_FIRST] = greatest};
    return priorities[urgency];
}

/* Non-blocking: nothing waits for the legacy default stream, which no part of this program uses. */
int cuda_stream_create_urgent(device *self, stream_urgency urgency, device_stream **out,
                              ls_error *error) {
    int priority = cuda_priority(cuda_enter(self), urgency);
    cudaStream_t stream;
    CUDA_TRY(cudaStreamCreateWithPriority(&stream, cudaStreamNonBlocking, priority),
             "making a stream");
    *out = (device_stream *)stream;
    return LS_OK;
}

int cuda_stream_create(device *self, device_stream **out, ls_error *error) {
    return cuda_stream_create_urgent(self, STREAM_NORMAL, out, error);
}

void cuda_stream_destroy(device *self, device_stream *stream) {
    if (!stream)
        return;
    cuda_enter(self);
    cudaStreamSynchronize(cuda_stream(stream));
    cudaStreamDestroy(cuda_stream(stream));
}

int cuda_stream_synchronize(device *self, device_stream *stream, ls_error *error) {
    cuda_enter(self);
    cudaError_t status = cudaStreamSynchronize(cuda_stream(stream));
    ending_hold();
    CUDA_TRY(status, "waiting for a stream");
    return LS_OK;
}

static int make_event(device *self, unsigned flags, device_event **out, ls_error *error) {
    bool asleep = cuda_enter(self)->waits_asleep;
    cudaEvent_t event;
    CUDA_TRY(cudaEventCreateWithFlags(&event, flags | (asleep ? cudaEventBlockingSync : 0)),
             "making an event");
    *out = (device_event *)event;
    return LS_OK;
}

int cuda_event_create(device *self, device_event **out, ls_error *error) {
    return make_event(self, cudaEventDefault, out, error);
}

int cuda_order_create(device *self, device_event **out, ls_error *error) {
    return make_event(self, cudaEventDisableTiming, out, error);
}

void cuda_event_destroy(device *self, device_event *event) {
    if (!event)
        return;
    cuda_enter(self);
    cudaEventDestroy(cuda_event(event));
}

int cuda_event_record(device *self, device_event *event, device_stream *stream, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(cudaEventRecord(cuda_event(event), cuda_stream(stream)), "recording an event");
    return LS_OK;
}

int cuda_event_query(device *self, device_event *event, bool *done, ls_error *error) {
    cuda_enter(self);
    cudaError_t status = cudaEventQuery(cuda_event(event));
    ending_hold();
    *done = status == cudaSuccess;
    if (status == cudaErrorNotReady) {
        cudaGetLastError(); /* an answer, not an error for the next launch to find */
        return LS_OK;
    }
    CUDA_TRY(status, "asking for an event");
    return LS_OK;
}

int cuda_event_synchronize(device *self, device_event *event, ls_error *error) {
    cuda_enter(self);
    cudaError_t status = cudaEventSynchronize(cuda_event(event));
    ending_hold();
    CUDA_TRY(status, "waiting for an event");
    return LS_OK;
}

int cuda_event_seconds(device *self, device_event *from, device_event *to, double *out,
                       ls_error *error) {
    cuda_enter(self);
    float milliseconds;
    CUDA_TRY(cudaEventElapsedTime(&milliseconds, cuda_event(from), cuda_event(to)),
             "taking the time between two events");
    *out = (double)milliseconds / 1e3;
    return LS_OK;
}

int cuda_stream_wait_event(device *self, device_stream *stream, device_event *event,
                           ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(cudaStreamWaitEvent(cuda_stream(stream), cuda_event(event), 0),
             "making a stream wait for an event");
    return LS_OK;
}

/* Thread-local: what other threads call meanwhile (a watcher that polls an event) does not spoil
 * the recording. */
int cuda_graph_begin(device *self, device_stream *stream, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(cudaStreamBeginCapture(cuda_stream(stream), cudaStreamCaptureModeThreadLocal),
             "beginning to record a CUDA graph");
    return LS_OK;
}

int cuda_graph_end(device *self, device_stream *stream, device_graph **out, ls_error *error) {
    const cuda_device *cuda = cuda_enter(self);
    /* Without it all nodes have the priority of the stream that the graph is launched in. */
    unsigned long long flags =
        cuda->avoided & CUDA_AVOID_PRIORITIES ? 0 : cudaGraphInstantiateFlagUseNodePriority;
    cudaGraph_t recorded = NULL;
    cudaGraphExec_t runnable = NULL;
    CUDA_TRY(cudaStreamEndCapture(cuda_stream(stream), &recorded), "ending a CUDA graph");
    cudaError_t status = cudaGraphInstantiate(&runnable, recorded, flags);
    cudaGraphDestroy(recorded);
    CUDA_TRY(status, "making a CUDA graph ready to run");
    *out = (device_graph *)runnable;
    return LS_OK;
}

int cuda_graph_launch(device *self, device_graph *graph, device_stream *stream, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(cudaGraphLaunch((cudaGraphExec_t)graph, cuda_stream(stream)),
             "launching a CUDA graph");
    return LS_OK;
}

void cuda_graph_destroy(device *self, device_graph *graph) {
    if (!graph)
        return;
    cuda_enter(self);
    cudaGraphExecDestroy((cudaGraphExec_t)graph);
}
