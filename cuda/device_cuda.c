/* The cuda device: opening and closing it, what it is, and its table of functions. */
#include "conv.h"
#include "cuda_device.h"
#include "kernels.h"
#include "ranges.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* What the kernels are compiled for (cuda/meson.build), and what bf16, tf32 and cuDNN's graphs
 * for them need. */
enum { OLDEST_CAPABILITY = 80 };

static int check_capability(const cuda_device *self, ls_error *error) {
    if (self->capability >= OLDEST_CAPABILITY)
        return LS_OK;
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: %s has compute capability %d.%d, this program's GPU code needs "
                   "%d.%d or later (A100, H100, H200); choose another GPU, or give --device cpu",
                   self->base.facts.name, self->capability / 10, self->capability % 10,
                   OLDEST_CAPABILITY / 10, OLDEST_CAPABILITY % 10);
}

static void uuid_text(const cudaUUID_t *uuid, char *out, size_t capacity) {
    const unsigned char *b = (const unsigned char *)uuid->bytes;
    snprintf(out, capacity,
             "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1],
             b[2], b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14],
             b[15]);
}

static int numa_node_of(const char *pci_bus_id) {
    char path[96];
    int node = -1;
    snprintf(path, sizeof path, "/sys/bus/pci/devices/%s/numa_node", pci_bus_id);
    FILE *file = fopen(path, "r");
    if (file) {
        if (fscanf(file, "%d", &node) != 1 || node < 0)
            node = -1;
        fclose(file);
    }
    return node;
}

/* "0000:3b:00.0", as sysfs writes it. */
static cudaError_t bus_id_of(int ordinal, char out[32]) {
    cudaError_t status = cudaDeviceGetPCIBusId(out, 32, ordinal);
    for (char *letter = out; status == cudaSuccess && *letter; letter++)
        *letter = (char)tolower((unsigned char)*letter);
    return status;
}

static int cuda_numa_node(const device_request *request) {
    ls_error ignored = {0}; /* open() says it */
    char bus_id[32];
    int ordinal;
    if (cuda_choose_gpu(request, &ordinal, &ignored) != LS_OK)
        return -1;
    return bus_id_of(ordinal, bus_id) == cudaSuccess ? numa_node_of(bus_id) : -1;
}

static void describe_libraries(char *out, size_t capacity) {
    int runtime = 0;
    size_t dnn = cudnnGetVersion(), blas = cublasLtGetVersion();
    cudaRuntimeGetVersion(&runtime);
    snprintf(out, capacity, "CUDA %d.%d, cuDNN %zu.%zu.%zu, cuBLASLt %zu.%zu.%zu", runtime / 1000,
             runtime % 1000 / 10, dnn / 10000, dnn % 10000 / 100, dnn % 100, blas / 10000,
             blas % 10000 / 100, blas % 100);
}

static int describe(cuda_device *self, ls_error *error) {
    device_facts *facts = &self->base.facts;
    struct cudaDeviceProp properties;
    char bus_id[32];
    CUDA_TRY(cudaGetDeviceProperties(&properties, self->ordinal), "asking what the GPU is");
    CUDA_TRY(bus_id_of(self->ordinal, bus_id), "asking where it is");
    self->capability = properties.major * 10 + properties.minor;
    self->multiprocessors = properties.multiProcessorCount;
    snprintf(facts->name, sizeof facts->name, "%.127s", properties.name);
    snprintf(facts->pci_bus_id, sizeof facts->pci_bus_id, "%.15s", bus_id);
    uuid_text(&properties.uuid, facts->uuid, sizeof facts->uuid);
    cuda_driver_text(facts->driver, sizeof facts->driver);
    describe_libraries(facts->library, sizeof facts->library);
    facts->numa_node = numa_node_of(bus_id);
    facts->host_addressable = false;
    facts->asynchronous = true;
    return LS_OK;
}

/* One kernel, waited for: says now, not in the first step, that this program has no code for this
 * GPU, or that the GPU is unwell. */
static int try_a_kernel(cuda_device *self, ls_error *error) {
    uint32_t *word;
    void *memory;
    LS_TRY(cuda_host_allocate(&self->base, sizeof *word, &memory, error));
    word = memory;
    cudaError_t status = kernel_write_word(self->memory_stream, word, 1);
    if (status == cudaSuccess)
        status = cudaStreamSynchronize(self->memory_stream);
    bool written = status == cudaSuccess && *(volatile uint32_t *)word == 1;
    cuda_host_release(&self->base, memory);
    if (written)
        return LS_OK;
    cudaGetLastError();
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: %s (compute capability %d.%d) cannot run this program's GPU "
                   "code: %s; choose another GPU, or give --device cpu",
                   self->base.facts.name, self->capability / 10, self->capability % 10,
                   status == cudaSuccess ? "a first kernel wrote nothing"
                                         : cudaGetErrorString(status));
}

static int open_libraries(cuda_device *self, ls_error *error) {
    cublasStatus_t blas = cublasLtCreate(&self->blas);
    if (blas != CUBLAS_STATUS_SUCCESS)
        return ls_fail(error, LS_BAD_LAUNCH, "--device cuda: cuBLASLt does not start: %s",
                       cublasLtGetStatusString(blas));
    cudnnStatus_t dnn = cudnnCreate(&self->dnn);
    if (dnn != CUDNN_STATUS_SUCCESS)
        return ls_fail(error, LS_BAD_LAUNCH, "--device cuda: cuDNN does not start: %s",
                       cudnnGetErrorString(dnn));
    return LS_OK;
}

/* The first call that makes a context: only on the GPU that was chosen. The host waits for the GPU
 * by looking at it, which is quickest, but not on a rank's only core: there, what it waits for may
 * need the threads of NCCL or MPI to run. */
static int start_gpu(cuda_device *self, ls_error *error) {
    unsigned how = self->waits_asleep ? cudaDeviceScheduleBlockingSync : cudaDeviceScheduleAuto;
    cudaError_t status = cudaInitDevice(self->ordinal, how, cudaInitDeviceFlagsAreValid);
    if (status == cudaSuccess)
        status = cudaSetDevice(self->ordinal);
    if (status == cudaSuccess)
        return LS_OK;
    cudaGetLastError();
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: GPU %d does not start: %s (%s); see nvidia-smi for who uses it "
                   "and in which compute mode it is",
                   self->ordinal, cudaGetErrorString(status), cudaGetErrorName(status));
}

/* What is known of the GPU before a context is made on it. */
static int choose(cuda_device *self, const device_request *request, ls_error *error) {
    LS_TRY(cuda_choose_gpu(request, &self->ordinal, error));
    LS_TRY(describe(self, error));
    return check_capability(self, error);
}

static int cuda_describe(const device_request *request, device_facts *out, ls_error *error) {
    cuda_device self = {0};
    int status = choose(&self, request, error);
    *out = self.base.facts;
    return status;
}

static int start(cuda_device *self, const device_request *request, ls_error *error) {
    LS_TRY(cuda_read_avoided(&self->avoided, error));
    LS_TRY(choose(self, request, error));
    self->waits_asleep = request->threads == 1;
    LS_TRY(start_gpu(self, error));
    LS_TRY(cuda_arena_open(self, error));
    LS_TRY(try_a_kernel(self, error));
    LS_TRY(cuda_allocate(&self->base, KERNEL_SCRATCH_BYTES, "the kernels' scratch memory",
                         &self->scratch, error));
    LS_TRY(open_libraries(self, error));
    self->first_offer = request->first_offer;
    if (self->avoided)
        device_remark(&self->base.fallbacks, "LOCKSTEP_CUDA_AVOID=%s: what it names is left unused",
                      getenv("LOCKSTEP_CUDA_AVOID"));
    return cuda_choices_open(self, request->plan_cache, error);
}

static void cuda_close(device *base) {
    cuda_device *self = cuda_enter(base);
    cudaDeviceSynchronize();
    cuda_choices_close(self);
    if (self->dnn)
        cudnnDestroy(self->dnn);
    if (self->blas)
        cublasLtDestroy(self->blas);
    cuda_release(base, self->scratch);
    cuda_arena_close(self);
    free(self);
}

static int cuda_open(const device_request *request, device **out, ls_error *error) {
    extern const device_interface device_cuda;
    cuda_device *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->base.is = &device_cuda;
    int status = start(self, request, error);
    if (status == LS_OK)
        *out = &self->base;
    else if (self->memory_stream)
        cuda_close(&self->base);
    else
        free(self); /* nothing was started: no call that would make a context */
    return status;
}

static int cuda_check_precision(device *base, precision wanted, ls_error *error) {
    const cuda_device *self = (const cuda_device *)base;
    if (wanted == PRECISION_FP32 || self->capability >= 80)
        return LS_OK;
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--precision %s: %s (compute capability %d.%d) has fp32 only; %s needs 8.0 or "
                   "later",
                   precision_name(wanted), base->facts.name, self->capability / 10,
                   self->capability % 10, precision_name(wanted));
}

static int cuda_write_word(device *self, device_stream *stream, uint32_t *word, uint32_t value,
                           ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_write_word(cuda_stream(stream), word, value), "writing a progress word");
    return LS_OK;
}

const device_interface device_cuda = {
    .name = "cuda",
    .ops = &ops_cuda,
    .numa_node = cuda_numa_node,
    .open = cuda_open,
    .describe = cuda_describe,
    .close = cuda_close,
    .check_precision = cuda_check_precision,
    .allocate = cuda_allocate,
    .release = cuda_release,
    .memory = cuda_memory,
    .host_allocate = cuda_host_allocate,
    .host_release = cuda_host_release,
    .stream_create = cuda_stream_create,
    .stream_destroy = cuda_stream_destroy,
    .stream_synchronize = cuda_stream_synchronize,
    .event_create = cuda_event_create,
    .event_destroy = cuda_event_destroy,
    .event_record = cuda_event_record,
    .event_query = cuda_event_query,
    .event_synchronize = cuda_event_synchronize,
    .event_seconds = cuda_event_seconds,
    .stream_wait_event = cuda_stream_wait_event,
    .graph_begin = cuda_graph_begin,
    .graph_end = cuda_graph_end,
    .graph_launch = cuda_graph_launch,
    .graph_destroy = cuda_graph_destroy,
    .choices_export = cuda_choices_export,
    .choices_import = cuda_choices_import,
    .range_begin = cuda_range_begin,
    .range_end = cuda_range_end,
    .copy = cuda_copy,
    .fill_zero = cuda_fill_zero,
    .write_word = cuda_write_word,
};
