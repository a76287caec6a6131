// The GPUs that the emulation says there are, by the environment:
//   LOCKSTEP_EMULATED_GPUS         how many in the host (1); CUDA_VISIBLE_DEVICES chooses among
//   them LOCKSTEP_EMULATED_CAPABILITY   90: sm_90; below 80 no kernel image fits
//   LOCKSTEP_EMULATED_MEMORY_MIB   of each (4096)
//   LOCKSTEP_EMULATED_DRIVER       what the driver supports (13000: the runtime's own by default);
//                                  0: no driver
// A GPU's UUID is its place in the host: two processes that use one GPU see the same.
#include "runtime.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace emulated {

static long number(const char *variable, long otherwise) {
    const char *text = getenv(variable);
    return text && *text ? strtol(text, nullptr, 10) : otherwise;
}

size_t memory_bytes() {
    return (size_t)number("LOCKSTEP_EMULATED_MEMORY_MIB", 4096) << 20;
}
static int driver_version() {
    return (int)number("LOCKSTEP_EMULATED_DRIVER", CUDART_VERSION);
}

// The host's GPUs that the process sees, by ordinal.
static const std::vector<int> &visible() {
    static const auto *list = [] {
        auto *out = new std::vector<int>;
        int in_host = (int)number("LOCKSTEP_EMULATED_GPUS", 1);
        const char *text = getenv("CUDA_VISIBLE_DEVICES");
        if (!text)
            for (int gpu = 0; gpu < in_host; gpu++)
                out->push_back(gpu);
        for (char *end; text && *text; text = *end == ',' ? end + 1 : end) {
            long gpu = strtol(text, &end, 10);
            if (end == text || gpu < 0 || gpu >= in_host)
                break; // as CUDA: what follows is not seen either
            out->push_back((int)gpu);
        }
        return out;
    }();
    return *list;
}

static thread_local int current;
int current_device() {
    return current;
}

static cudaError_t usable() {
    if (driver_version() / 1000 < CUDART_VERSION / 1000)
        return cudaErrorInsufficientDriver;
    return visible().empty() ? cudaErrorNoDevice : cudaSuccess;
}

static int context_on = -1;

cudaError_t use_device() {
    cudaError_t status = usable();
    if (status != cudaSuccess)
        return status;
    if (context_on >= 0 && context_on != current)
        emulated_violation("a second context: on GPU %d beside GPU %d (a thread without "
                           "cudaSetDevice uses GPU 0)",
                           current, context_on);
    context_on = current;
    return cudaSuccess;
}

} // namespace emulated

using namespace emulated;

static cudaError_t valid(int device) {
    cudaError_t status = usable();
    if (status != cudaSuccess)
        return status;
    return device >= 0 && device < (int)visible().size() ? cudaSuccess : cudaErrorInvalidDevice;
}

extern "C" int emulated_capability(void) {
    return (int)number("LOCKSTEP_EMULATED_CAPABILITY", 90);
}

extern "C" cudaError_t cudaDriverGetVersion(int *version) {
    *version = driver_version();
    return cudaSuccess;
}

extern "C" cudaError_t cudaRuntimeGetVersion(int *version) {
    *version = CUDART_VERSION;
    return cudaSuccess;
}

extern "C" cudaError_t cudaGetDeviceCount(int *count) {
    api_call call("cudaGetDeviceCount");
    *count = (int)visible().size();
    return result(usable());
}

static unsigned device_flags;

extern "C" cudaError_t cudaInitDevice(int device, unsigned flags, unsigned valid_flags) {
    api_call call("cudaInitDevice");
    cudaError_t status = valid(device);
    if (status == cudaSuccess && valid_flags != cudaInitDeviceFlagsAreValid)
        emulated_violation("cudaInitDevice: flags that are not valid");
    if (status == cudaSuccess)
        device_flags = flags;
    return result(status);
}

extern "C" cudaError_t cudaGetDeviceFlags(unsigned *flags) {
    *flags = device_flags;
    return cudaSuccess;
}

extern "C" cudaError_t cudaSetDevice(int device) {
    api_call call("cudaSetDevice");
    cudaError_t status = valid(device);
    if (status != cudaSuccess)
        return result(status);
    current = device;
    return result(use_device()); // since CUDA 12 it makes the context
}

extern "C" cudaError_t cudaGetDevice(int *device) {
    api_call call("cudaGetDevice");
    *device = current;
    return result(usable());
}

extern "C" cudaError_t cudaGetDeviceProperties(cudaDeviceProp *out, int device) {
    api_call call("cudaGetDeviceProperties");
    cudaError_t status = valid(device);
    if (status != cudaSuccess)
        return result(status);
    int gpu = visible()[(size_t)device];
    *out = cudaDeviceProp{};
    snprintf(out->name, sizeof out->name, "emulated by the CPU");
    memset(out->uuid.bytes, 0xe0, sizeof out->uuid.bytes);
    out->uuid.bytes[15] = (char)gpu;
    out->totalGlobalMem = memory_bytes();
    out->sharedMemPerBlock = 48 << 10;
    out->regsPerBlock = 65536;
    out->warpSize = 32;
    out->maxThreadsPerBlock = 1024;
    out->major = emulated_capability() / 10;
    out->minor = emulated_capability() % 10;
    out->multiProcessorCount = 6;
    out->maxThreadsPerMultiProcessor = 2048;
    out->l2CacheSize = 50 << 20;
    out->memoryPoolsSupported = 1;
    out->unifiedAddressing = 1;
    out->canMapHostMemory = 1;
    out->asyncEngineCount = 3;
    out->pciBusID = 0x10 + gpu;
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetAttribute(int *value, cudaDeviceAttr what, int device) {
    cudaDeviceProp of;
    cudaError_t status = cudaGetDeviceProperties(&of, device);
    if (status != cudaSuccess)
        return status;
    switch (what) {
    case cudaDevAttrComputeCapabilityMajor:
        *value = of.major;
        break;
    case cudaDevAttrComputeCapabilityMinor:
        *value = of.minor;
        break;
    case cudaDevAttrMultiProcessorCount:
        *value = of.multiProcessorCount;
        break;
    case cudaDevAttrMemoryPoolsSupported:
    case cudaDevAttrUnifiedAddressing:
    case cudaDevAttrCanMapHostMemory:
        *value = 1;
        break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
        *value = of.maxThreadsPerMultiProcessor;
        break;
    case cudaDevAttrL2CacheSize:
        *value = of.l2CacheSize;
        break;
    case cudaDevAttrPciBusId:
        *value = of.pciBusID;
        break;
    case cudaDevAttrHostNumaId:
        *value = -1;
        break;
    default:
        emulated_violation("cudaDeviceGetAttribute: attribute %d is not emulated", (int)what);
    }
    return cudaSuccess;
}

extern "C" cudaError_t cudaDeviceGetPCIBusId(char *out, int bytes, int device) {
    cudaDeviceProp of;
    cudaError_t status = cudaGetDeviceProperties(&of, device);
    if (status == cudaSuccess)
        snprintf(out, (size_t)bytes, "0000:%02x:00.0", of.pciBusID);
    return status;
}

static const struct {
    cudaError_t status;
    const char *name, *text;
} errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration",
     "invalid configuration argument"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver",
     "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorIllegalState, "cudaErrorIllegalState",
     "the operation cannot be performed in the present state"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress",
     "an illegal memory access was encountered"},
    {cudaErrorStreamCaptureUnsupported, "cudaErrorStreamCaptureUnsupported",
     "operation not permitted when stream is capturing"},
    {cudaErrorStreamCaptureInvalidated, "cudaErrorStreamCaptureInvalidated",
     "operation failed due to a previous error during capture"},
    {cudaErrorStreamCaptureMerge, "cudaErrorStreamCaptureMerge",
     "operation would result in a merge of separate capture sequences"},
    {cudaErrorStreamCaptureUnmatched, "cudaErrorStreamCaptureUnmatched",
     "capture was not ended in the same stream as it began"},
    {cudaErrorStreamCaptureUnjoined, "cudaErrorStreamCaptureUnjoined",
     "capturing stream has unjoined work"},
    {cudaErrorStreamCaptureIsolation, "cudaErrorStreamCaptureIsolation",
     "dependency created on uncaptured work in another stream"},
    {cudaErrorStreamCaptureWrongThread, "cudaErrorStreamCaptureWrongThread",
     "attempt to terminate a thread-local capture sequence from another thread"},
};

extern "C" const char *cudaGetErrorName(cudaError_t status) {
    for (const auto &each : errors)
        if (each.status == status)
            return each.name;
    return "unrecognized error code";
}

extern "C" const char *cudaGetErrorString(cudaError_t status) {
    for (const auto &each : errors)
        if (each.status == status)
            return each.text;
    return "unrecognized error code";
}
