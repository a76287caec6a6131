// Copies, fills and host functions. A copy's kind must be true; copies from and to pinned memory
// run when their turn in the stream comes, those of pageable memory as the real runtime does them:
// to the device from a snapshot, to the host before the call returns.
#include "runtime.h"

#include <cstring>

using namespace emulated;

namespace {

struct copy_argument {
    void *to;
    const void *from; // null: the bytes follow in the context
    size_t bytes;
    place target, source;
};

void check_end(const void *pointer, size_t bytes, place where, const char *what) {
    if (where != place::pageable)
        check_range(pointer, bytes, where, what);
}

emulated_progress run_copy(void *context) {
    auto *copy = (copy_argument *)context;
    const void *from = copy->from ? copy->from : copy + 1;
    if (copy->from)
        check_end(from, copy->bytes, copy->source, "a copy's source");
    check_end(copy->to, copy->bytes, copy->target, "a copy's target");
    memcpy(copy->to, from, copy->bytes);
    return EMULATED_DONE;
}

struct fill_argument {
    void *to;
    int value;
    size_t bytes;
};

emulated_progress run_fill(void *context) {
    auto *fill = (fill_argument *)context;
    check_range(fill->to, fill->bytes, place::device, "a fill");
    memset(fill->to, fill->value, fill->bytes);
    return EMULATED_DONE;
}

struct host_argument {
    cudaHostFn_t function;
    void *data;
};

emulated_progress run_host(void *context) {
    auto *host = (host_argument *)context;
    host->function(host->data);
    return EMULATED_DONE;
}

void check_kind(place to, place from, cudaMemcpyKind kind, const void *target, const void *source) {
    static const char *const names[] = {"cudaMemcpyHostToHost", "cudaMemcpyHostToDevice",
                                        "cudaMemcpyDeviceToHost", "cudaMemcpyDeviceToDevice"};
    if (kind == cudaMemcpyDefault)
        return;
    bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
    bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
    if (to_device != (to == place::device))
        emulated_violation("%s into %s", names[kind], describe(target).c_str());
    if (from_device != (from == place::device))
        emulated_violation("%s out of %s", names[kind], describe(source).c_str());
}

} // namespace

extern "C" cudaError_t cudaMemcpyAsync(void *to, const void *from, size_t bytes,
                                       cudaMemcpyKind kind, cudaStream_t stream) {
    api_call call("cudaMemcpyAsync");
    CUstream_st *where = stream_of(stream, "cudaMemcpyAsync");
    if (bytes == 0)
        return cudaSuccess;
    place target = place_of(to), source = place_of(from);
    check_kind(target, source, kind, to, from);
    check_end(to, bytes, target, "a copy's target");
    check_end(from, bytes, source, "a copy's source");
    bool pageable = target == place::pageable || source == place::pageable;
    if (pageable && where->recording)
        emulated_violation("a copy of pageable memory in a recording");
    std::vector<char> context(sizeof(copy_argument) + (source == place::pageable ? bytes : 0));
    auto *copy = (copy_argument *)context.data();
    *copy = {to, from, bytes, target, source};
    if (source == place::pageable) {
        copy->from = nullptr;
        memcpy(copy + 1, from, bytes);
    }
    cudaError_t status =
        emulated_enqueue(where, run_copy, context.data(), context.size(), "a copy");
    if (status == cudaSuccess && target == place::pageable)
        run_stream(where);
    return result(status);
}

extern "C" cudaError_t cudaMemcpy(void *to, const void *from, size_t bytes, cudaMemcpyKind kind) {
    api_call call("cudaMemcpy");
    cudaError_t status = allowed_now();
    if (status == cudaSuccess)
        status = cudaMemcpyAsync(to, from, bytes, kind, nullptr);
    if (status == cudaSuccess)
        run_stream(nullptr);
    return result(status);
}

extern "C" cudaError_t cudaMemsetAsync(void *to, int value, size_t bytes, cudaStream_t stream) {
    api_call call("cudaMemsetAsync");
    if (bytes == 0)
        return cudaSuccess;
    check_range(to, bytes, place::device, "a fill");
    fill_argument fill = {to, value, bytes};
    return result(emulated_enqueue(stream, run_fill, &fill, sizeof fill, "a fill"));
}

extern "C" cudaError_t cudaMemset(void *to, int value, size_t bytes) {
    api_call call("cudaMemset");
    cudaError_t status = allowed_now();
    return status == cudaSuccess ? cudaMemsetAsync(to, value, bytes, nullptr) : result(status);
}

extern "C" cudaError_t cudaLaunchHostFunc(cudaStream_t stream, cudaHostFn_t function, void *data) {
    api_call call("cudaLaunchHostFunc");
    host_argument host = {function, data};
    return result(emulated_enqueue(stream, run_host, &host, sizeof host, "a host function"));
}
