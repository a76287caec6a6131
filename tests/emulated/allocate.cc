// Allocation of device and pinned memory.
#include "runtime.h"

#include <cstdlib>
#include <cstring>

using namespace emulated;

extern "C" cudaError_t cudaMalloc(void **out, size_t bytes) {
    api_call call("cudaMalloc");
    cudaError_t status = allowed_now();
    if (status == cudaSuccess)
        status = use_device();
    if (status == cudaSuccess)
        status = promise_memory(out, bytes, false);
    if (status == cudaSuccess) {
        make_memory(out);
    }
    return result(status);
}

extern "C" cudaError_t cudaFree(void *memory) {
    api_call call("cudaFree");
    cudaError_t status = allowed_now();
    if (status == cudaSuccess)
        status = use_device();
    if (status != cudaSuccess || !memory)
        return result(status);
    check_allocated(memory, "cudaFree");
    run_all(); // as the real one does
    unmake_memory(&memory);
    return cudaSuccess;
}

struct CUmemPoolHandle_st {
    size_t most;
};

extern "C" cudaError_t cudaMemPoolCreate(cudaMemPool_t *out, const cudaMemPoolProps *properties) {
    api_call call("cudaMemPoolCreate");
    cudaError_t status = use_device();
    if (status != cudaSuccess)
        return result(status);
    if (properties->allocType != cudaMemAllocationTypePinned ||
        properties->location.type != cudaMemLocationTypeDevice ||
        properties->location.id != current_device())
        return result(cudaErrorInvalidValue);
    *out = new CUmemPoolHandle_st{0};
    emulated_count("memory pools", 1);
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemPoolDestroy(cudaMemPool_t pool) {
    api_call call("cudaMemPoolDestroy");
    delete pool;
    trim_memory();
    emulated_count("memory pools", -1);
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t *out, int) {
    api_call call("cudaDeviceGetDefaultMemPool");
    static CUmemPoolHandle_st pool;
    *out = &pool;
    return result(use_device());
}

extern "C" cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void *) {
    api_call call("cudaMemPoolSetAttribute");
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemPoolGetAttribute(cudaMemPool_t, cudaMemPoolAttr what, void *value) {
    api_call call("cudaMemPoolGetAttribute");
    if (what != cudaMemPoolAttrUsedMemCurrent && what != cudaMemPoolAttrReservedMemCurrent &&
        what != cudaMemPoolAttrUsedMemHigh && what != cudaMemPoolAttrReservedMemHigh)
        return result(cudaErrorInvalidValue);
    bool reserved =
        what == cudaMemPoolAttrReservedMemCurrent || what == cudaMemPoolAttrReservedMemHigh;
    bool high = what == cudaMemPoolAttrUsedMemHigh || what == cudaMemPoolAttrReservedMemHigh;
    *(uint64_t *)value =
        (high ? memory_most_used() : memory_used()) + (reserved ? memory_kept() : 0);
    return cudaSuccess;
}

extern "C" cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, size_t) {
    api_call call("cudaMemPoolTrimTo");
    trim_memory();
    return cudaSuccess;
}

// A recording would hold an allocation node; the program never allocates there.
extern "C" cudaError_t cudaMallocFromPoolAsync(void **out, size_t bytes, cudaMemPool_t,
                                               cudaStream_t stream) {
    api_call call("cudaMallocFromPoolAsync");
    if (stream_of(stream, "cudaMallocFromPoolAsync")->recording)
        emulated_violation("an allocation in a recording");
    cudaError_t status = promise_memory(out, bytes, true);
    if (status == cudaErrorMemoryAllocation) {
        run_all(); // frees that are queued
        status = promise_memory(out, bytes, true);
    }
    if (status == cudaSuccess)
        status = emulated_enqueue(stream, make_memory, out, sizeof *out, "allocation");
    return result(status);
}

extern "C" cudaError_t cudaMallocAsync(void **out, size_t bytes, cudaStream_t stream) {
    return cudaMallocFromPoolAsync(out, bytes, nullptr, stream);
}

extern "C" cudaError_t cudaFreeAsync(void *memory, cudaStream_t stream) {
    api_call call("cudaFreeAsync");
    if (stream_of(stream, "cudaFreeAsync")->recording)
        emulated_violation("a free in a recording");
    check_allocated(memory, "cudaFreeAsync");
    return result(emulated_enqueue(stream, unmake_memory, &memory, sizeof memory, "free"));
}

extern "C" cudaError_t cudaMemGetInfo(size_t *free_bytes, size_t *total) {
    api_call call("cudaMemGetInfo");
    *total = memory_bytes();
    *free_bytes = *total - memory_used() - memory_kept();
    return result(use_device());
}

extern "C" cudaError_t cudaHostAlloc(void **out, size_t bytes, unsigned) {
    api_call call("cudaHostAlloc");
    cudaError_t status = allowed_now();
    if (status == cudaSuccess)
        status = use_device();
    if (status != cudaSuccess)
        return result(status);
    *out = nullptr;
    if (bytes == 0)
        return cudaSuccess;
    if (posix_memalign(out, 4096, bytes) != 0)
        return result(cudaErrorMemoryAllocation);
    memset(*out, 0xa5, bytes);
    add_pinned(*out, bytes);
    emulated_count("pinned allocations", 1);
    return cudaSuccess;
}

extern "C" cudaError_t cudaMallocHost(void **out, size_t bytes) {
    return cudaHostAlloc(out, bytes, 0);
}

extern "C" cudaError_t cudaFreeHost(void *memory) {
    api_call call("cudaFreeHost");
    cudaError_t status = allowed_now();
    if (status != cudaSuccess || !memory)
        return result(status);
    std::string what = describe(memory);
    if (!remove_pinned(memory))
        emulated_violation("cudaFreeHost: %s", what.c_str());
    free(memory);
    emulated_count("pinned allocations", -1);
    return cudaSuccess;
}

extern "C" cudaError_t cudaHostGetDevicePointer(void **out, void *memory, unsigned) {
    api_call call("cudaHostGetDevicePointer");
    *out = memory;
    return result(emulated_is_pinned(memory, 1) ? cudaSuccess : cudaErrorInvalidValue);
}

extern "C" cudaError_t cudaPointerGetAttributes(cudaPointerAttributes *out, const void *pointer) {
    api_call call("cudaPointerGetAttributes");
    static const cudaMemoryType types[] = {cudaMemoryTypeUnregistered, cudaMemoryTypeHost,
                                           cudaMemoryTypeDevice};
    *out = cudaPointerAttributes{};
    out->type = types[(int)place_of(pointer)];
    out->device = current_device();
    out->devicePointer = out->type == cudaMemoryTypeUnregistered ? nullptr : (void *)pointer;
    out->hostPointer = out->type == cudaMemoryTypeHost ? (void *)pointer : nullptr;
    return cudaSuccess;
}
