/* Memory of the cuda device. All of it comes from one arena, a CUDA memory pool that gives nothing
 * back to the driver before the device is closed or an allocation finds no room, so that what one
 * network released is there for the next without a call to the driver. */
#include "cuda/device/cuda_device.h"

#include <string.h>

enum { ARENA_ALIGNMENT = 256 };

int cuda_arena_open(cuda_device *self, ls_error *error) {
    struct cudaMemPoolProps properties = {
        .allocType = cudaMemAllocationTypePinned,
        .handleTypes = cudaMemHandleTypeNone,
        .location = {.type = cudaMemLocationTypeDevice, .id = self->ordinal}};
    uint64_t threshold = UINT64_MAX;
    CUDA_TRY(cudaStreamCreateWithFlags(&self->memory_stream, cudaStreamNonBlocking),
             "making the arena's stream");
    CUDA_TRY(cudaMemPoolCreate(&self->pool, &properties), "making the arena of device memory");
    CUDA_TRY(cudaMemPoolSetAttribute(self->pool, cudaMemPoolAttrReleaseThreshold, &threshold),
             "setting up the arena of device memory");
    return LS_OK;
}

void cuda_arena_close(cuda_device *self) {
    if (self->memory_stream)
        cudaStreamSynchronize(self->memory_stream); /* frees are done */
    if (self->pool)
        cudaMemPoolDestroy(self->pool);
    if (self->memory_stream)
        cudaStreamDestroy(self->memory_stream);
}

/* What the arena holds and nobody uses counts as free. */
int cuda_memory(device *base, size_t *free_bytes, size_t *total_bytes, ls_error *error) {
    cuda_device *self = cuda_enter(base);
    uint64_t reserved = 0, used = 0;
    CUDA_TRY(cudaMemGetInfo(free_bytes, total_bytes), "asking for the free device memory");
    CUDA_TRY(cudaMemPoolGetAttribute(self->pool, cudaMemPoolAttrReservedMemCurrent, &reserved),
             "asking for the arena's size");
    CUDA_TRY(cudaMemPoolGetAttribute(self->pool, cudaMemPoolAttrUsedMemCurrent, &used),
             "asking for the arena's use");
    *free_bytes += reserved - used;
    return LS_OK;
}

int cuda_most_held(device *base, size_t *bytes, ls_error *error) {
    cuda_device *self = cuda_enter(base);
    uint64_t high = 0;
    CUDA_TRY(cudaMemPoolGetAttribute(self->pool, cudaMemPoolAttrUsedMemHigh, &high),
             "asking for the arena's fullest state");
    *bytes = high;
    return LS_OK;
}

static double mebibytes(size_t bytes) {
    return (double)bytes / 1048576.0;
}

static int out_of_memory(cuda_device *self, size_t bytes, const char *what, ls_error *error) {
    cudaGetLastError(); /* not a fault of the next call's */
    size_t free_bytes, total_bytes;
    LS_TRY(cuda_memory(&self->base, &free_bytes, &total_bytes, error));
    error->no_room = true;
    return ls_fail(error, LS_BAD_INPUT,
                   "out of device memory on %s: %.1f MiB asked for %s, %.1f MiB free of %.1f MiB",
                   self->base.facts.name, mebibytes(bytes), what, mebibytes(free_bytes),
                   mebibytes(total_bytes));
}

/* What the arena keeps may lie in pieces that are too small: the driver gets them back, and can
 * then give memory in one piece. */
static cudaError_t take(cuda_device *self, size_t bytes, void **out) {
    cudaError_t status = cudaMallocFromPoolAsync(out, bytes, self->pool, self->memory_stream);
    if (status != cudaErrorMemoryAllocation)
        return status;
    cudaGetLastError();
    cudaMemPoolTrimTo(self->pool, 0);
    return cudaMallocFromPoolAsync(out, bytes, self->pool, self->memory_stream);
}

int cuda_allocate(device *base, size_t bytes, const char *what, void **out, ls_error *error) {
    cuda_device *self = cuda_enter(base);
    size_t rounded = (bytes + ARENA_ALIGNMENT - 1) & ~(size_t)(ARENA_ALIGNMENT - 1);
    if (rounded < bytes)
        return out_of_memory(self, bytes, what, error);
    if (rounded == 0)
        rounded = ARENA_ALIGNMENT;
    cudaError_t status = take(self, rounded, out);
    if (status == cudaErrorMemoryAllocation)
        return out_of_memory(self, bytes, what, error);
    CUDA_TRY(status, "allocating device memory");
    CUDA_TRY(cudaMemsetAsync(*out, 0, rounded, self->memory_stream), "clearing device memory");
    CUDA_TRY(cudaStreamSynchronize(self->memory_stream), "clearing device memory");
    return LS_OK;
}

/* Work that any stream has queued may still use the memory: it ends first. Afterwards the memory is
 * free for whoever asks, not at some later time. */
void cuda_release(device *base, void *memory) {
    if (!memory)
        return;
    cuda_device *self = cuda_enter(base);
    cudaDeviceSynchronize();
    cudaFreeAsync(memory, self->memory_stream);
    cudaStreamSynchronize(self->memory_stream);
}

int cuda_host_allocate(device *self, size_t bytes, void **out, ls_error *error) {
    cuda_enter(self);
    size_t size = bytes ? bytes : ARENA_ALIGNMENT;
    cudaError_t status = cudaHostAlloc(out, size, cudaHostAllocDefault);
    if (status == cudaErrorMemoryAllocation) {
        cudaGetLastError();
        return ls_fail(error, LS_FAILED,
                       "out of pinned host memory: %.1f MiB asked for (a limit on locked memory, "
                       "'ulimit -l', or the job's --mem, may be the cause)",
                       mebibytes(bytes));
    }
    CUDA_TRY(status, "allocating pinned host memory");
    memset(*out, 0, size);
    return LS_OK;
}

void cuda_host_release(device *self, void *memory) {
    if (!memory)
        return;
    cuda_enter(self);
    cudaFreeHost(memory);
}

int cuda_copy(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
              copy_kind kind, ls_error *error) {
    static const struct {
        enum cudaMemcpyKind kind;
        const char *what;
    } kinds[] = {[COPY_HOST_TO_DEVICE] = {cudaMemcpyHostToDevice, "copying to the device"},
                 [COPY_DEVICE_TO_HOST] = {cudaMemcpyDeviceToHost, "copying from the device"},
                 [COPY_ON_DEVICE] = {cudaMemcpyDeviceToDevice, "copying on the device"}};
    cuda_enter(self);
    if (bytes == 0)
        return LS_OK;
    CUDA_TRY(cudaMemcpyAsync(to, from, bytes, kinds[kind].kind, cuda_stream(stream)),
             kinds[kind].what);
    return LS_OK;
}

int cuda_fill_zero(device *self, device_stream *stream, void *memory, size_t bytes,
                   ls_error *error) {
    cuda_enter(self);
    if (bytes == 0)
        return LS_OK;
    CUDA_TRY(cudaMemsetAsync(memory, 0, bytes, cuda_stream(stream)), "clearing device memory");
    return LS_OK;
}
