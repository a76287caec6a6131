// Recording of streams into graphs, and their replay. Nodes are pieces of work; a stream that waits
// for an event of the recording joins it. What the real runtime refuses is refused with the same
// error, and spoils the recording; at a replay every order that the edges allow may come.
#include "runtime.h"

#include <algorithm>
#include <map>
#include <thread>

struct CUgraph_st {
    std::shared_ptr<std::vector<emulated::piece>> pieces;
    std::vector<std::vector<int>> after;
    std::vector<emulated::node_place> places;
};

struct CUgraphExec_st {
    CUgraph_st graph;
};

namespace emulated {

struct capture {
    uint64_t id;
    CUstream_st *origin;
    cudaStreamCaptureMode mode;
    std::thread::id thread;
    bool spoilt = false;
    std::vector<piece> pieces = {};
    std::vector<std::vector<int>> after = {}; // of each node: those it follows
    std::vector<node_place> places = {};
};

static std::map<uint64_t, capture *> &captures() {
    static auto *all = new std::map<uint64_t, capture *>;
    return *all;
}
static uint64_t captures_made;
static thread_local cudaStreamCaptureMode thread_mode = cudaStreamCaptureModeGlobal;

capture *capture_by_id(uint64_t id) {
    auto found = captures().find(id);
    return found == captures().end() ? nullptr : found->second;
}

uint64_t capture_id(const capture *which) {
    return which->id;
}

void spoil(capture *which) {
    which->spoilt = true;
}

cudaError_t allowed_now(void) {
    if (thread_mode == cudaStreamCaptureModeRelaxed)
        return cudaSuccess;
    bool forbidden = false;
    for (auto &[id, which] : captures()) {
        bool own = which->thread == std::this_thread::get_id() &&
                   which->mode != cudaStreamCaptureModeRelaxed;
        bool others = which->mode == cudaStreamCaptureModeGlobal &&
                      thread_mode == cudaStreamCaptureModeGlobal;
        if (own || others)
            forbidden = which->spoilt = true;
    }
    return forbidden ? cudaErrorStreamCaptureUnsupported : cudaSuccess;
}

cudaError_t allowed_on(CUstream_st *stream) {
    if (stream->recording) {
        spoil(stream->recording);
        return cudaErrorStreamCaptureUnsupported;
    }
    return allowed_now();
}

static int add_node(CUstream_st *stream, piece what) {
    capture &to = *stream->recording;
    to.pieces.push_back(std::move(what));
    to.after.push_back(stream->tail);
    to.places.push_back({stream->number, stream->priority});
    int node = (int)to.pieces.size() - 1;
    stream->tail = {node};
    return node;
}

cudaError_t record(CUstream_st *stream, piece what) {
    if (stream->recording->spoilt)
        return cudaErrorStreamCaptureInvalidated;
    add_node(stream, std::move(what));
    return cudaSuccess;
}

cudaError_t record_event(CUstream_st *stream, CUevent_st *event) {
    if (stream->recording->spoilt)
        return cudaErrorStreamCaptureInvalidated;
    event->capture = stream->recording->id;
    event->tail = stream->tail;
    event->last = nullptr;
    return cudaSuccess;
}

cudaError_t record_wait(CUstream_st *stream, CUevent_st *event) {
    capture *from = capture_by_id(event->capture);
    if ((stream->recording && stream->recording->spoilt) || (from && from->spoilt))
        return cudaErrorStreamCaptureInvalidated;
    if (stream->recording && !from) {
        if (!event->last && !event->capture)
            return cudaSuccess; // never recorded
        spoil(stream->recording);
        return cudaErrorStreamCaptureIsolation;
    }
    if (stream->recording && from != stream->recording) {
        spoil(stream->recording);
        spoil(from);
        return cudaErrorStreamCaptureMerge;
    }
    stream->recording = from;
    for (int node : event->tail)
        if (std::find(stream->tail.begin(), stream->tail.end(), node) == stream->tail.end())
            stream->tail.push_back(node);
    return cudaSuccess;
}

// Whether every node of the recording comes before the end of its origin.
static bool joined(const capture &which) {
    std::vector<bool> reached(which.pieces.size());
    std::vector<int> next = which.origin->tail;
    while (!next.empty()) {
        int node = next.back();
        next.pop_back();
        if (reached[(size_t)node])
            continue;
        reached[(size_t)node] = true;
        const auto &after = which.after[(size_t)node];
        next.insert(next.end(), after.begin(), after.end());
    }
    return std::find(reached.begin(), reached.end(), false) == reached.end();
}

// One launch of a graph, in its stream's queue.
class launch_item : public item {
  public:
    explicit launch_item(const CUgraph_st &graph)
        : graph(graph), states(graph.after.size()), done(graph.after.size()) {}
    const char *label() const override { return "a graph"; }

    progress run() override {
        if (left() == 0)
            return progress::done;
        std::vector<size_t> ready;
        for (size_t node = 0; node < done.size(); node++)
            if (!done[node] && all_done(graph.after[node]))
                ready.push_back(node);
        size_t node = ready[emulated_random((unsigned)ready.size())];
        if (states[node].call((*graph.pieces)[node]) == EMULATED_AGAIN)
            return progress::again;
        done[node] = true;
        return left() == 0 ? progress::done : progress::some;
    }

  private:
    CUgraph_st graph; // the nodes are shared: the executable may be destroyed meanwhile
    std::vector<run_state> states;
    std::vector<bool> done;

    size_t left() const { return (size_t)std::count(done.begin(), done.end(), false); }
    bool all_done(const std::vector<int> &nodes) const {
        return std::all_of(nodes.begin(), nodes.end(),
                           [&](int node) { return done[(size_t)node]; });
    }
};

} // namespace emulated

using namespace emulated;

extern "C" cudaError_t cudaThreadExchangeStreamCaptureMode(cudaStreamCaptureMode *mode) {
    api_call call("cudaThreadExchangeStreamCaptureMode");
    std::swap(*mode, thread_mode);
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamBeginCapture(cudaStream_t stream, cudaStreamCaptureMode mode) {
    api_call call("cudaStreamBeginCapture");
    CUstream_st *which = stream_of(stream, "cudaStreamBeginCapture");
    if (!stream)
        return result(cudaErrorStreamCaptureUnsupported);
    if (which->recording)
        return result(cudaErrorIllegalState);
    auto *made = new capture{++captures_made, which, mode, std::this_thread::get_id()};
    captures()[made->id] = made;
    which->recording = made;
    which->tail.clear();
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamIsCapturing(cudaStream_t stream, cudaStreamCaptureStatus *out) {
    api_call call("cudaStreamIsCapturing");
    const capture *which = stream_of(stream, "cudaStreamIsCapturing")->recording;
    *out = !which          ? cudaStreamCaptureStatusNone
           : which->spoilt ? cudaStreamCaptureStatusInvalidated
                           : cudaStreamCaptureStatusActive;
    return cudaSuccess;
}

extern "C" cudaError_t cudaStreamEndCapture(cudaStream_t stream, cudaGraph_t *out) {
    api_call call("cudaStreamEndCapture");
    *out = nullptr;
    capture *which = stream_of(stream, "cudaStreamEndCapture")->recording;
    if (!which)
        return result(cudaErrorIllegalState);
    if (which->mode != cudaStreamCaptureModeRelaxed && which->thread != std::this_thread::get_id())
        return result(cudaErrorStreamCaptureWrongThread);
    if (which->origin != stream)
        return result(cudaErrorStreamCaptureUnmatched);
    cudaError_t status = which->spoilt    ? cudaErrorStreamCaptureInvalidated
                         : joined(*which) ? cudaSuccess
                                          : cudaErrorStreamCaptureUnjoined;
    if (status == cudaSuccess) {
        *out = new CUgraph_st{std::make_shared<std::vector<piece>>(std::move(which->pieces)),
                              std::move(which->after), std::move(which->places)};
        emulated_count("graphs", 1);
    }
    for (CUstream_st *each : streams())
        if (each->recording == which) {
            each->recording = nullptr;
            each->tail.clear();
        }
    captures().erase(which->id);
    delete which;
    return result(status);
}

extern "C" cudaError_t cudaGraphInstantiate(cudaGraphExec_t *out, cudaGraph_t graph,
                                            unsigned long long flags) {
    api_call call("cudaGraphInstantiate");
    if (flags & ~(unsigned long long)cudaGraphInstantiateFlagUseNodePriority)
        emulated_violation("cudaGraphInstantiate: of its flags only node priorities are emulated");
    if (!flags) // the priorities are those of the stream that it will be launched in
        for (node_place &place : graph->places)
            place.priority = 0;
    write_graph(*graph->pieces, graph->after, graph->places);
    *out = new CUgraphExec_st{*graph};
    emulated_count("executable graphs", 1);
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t *out, cudaGraph_t graph,
                                                     unsigned long long flags) {
    return cudaGraphInstantiate(out, graph, flags);
}

extern "C" cudaError_t cudaGraphUpload(cudaGraphExec_t, cudaStream_t stream) {
    api_call call("cudaGraphUpload");
    stream_of(stream, "cudaGraphUpload");
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t *nodes, size_t *count) {
    api_call call("cudaGraphGetNodes");
    if (nodes)
        emulated_violation("cudaGraphGetNodes: only the count is emulated");
    *count = graph->after.size();
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphLaunch(cudaGraphExec_t graph, cudaStream_t stream) {
    api_call call("cudaGraphLaunch");
    CUstream_st *where = stream_of(stream, "cudaGraphLaunch");
    if (where->recording)
        emulated_violation("cudaGraphLaunch: a graph in a recording is not emulated");
    enqueue(where, std::make_unique<launch_item>(graph->graph));
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
    api_call call("cudaGraphExecDestroy");
    delete graph;
    emulated_count("executable graphs", -1);
    return cudaSuccess;
}

extern "C" cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
    api_call call("cudaGraphDestroy");
    delete graph;
    emulated_count("graphs", -1);
    return cudaSuccess;
}
