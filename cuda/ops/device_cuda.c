/* The cuda device: opening and closing it, and its table of functions. It knows all other rooms of
 * cuda/; none knows it. */
#include "cuda/choices/choices.h"
#include "cuda/device/cuda_device.h"
#include "cuda/device/ranges.h"
#include "cuda/dnn/dnn_settle.h"
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"

#include <stdlib.h>

static int numa_node(const device_request *request) {
    ls_error ignored = {0}; /* open() says it */
    int ordinal;
    return cuda_choose_gpu(request, &ordinal, &ignored) == LS_OK ? cuda_numa_node(ordinal) : -1;
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
    return cuda_describe_gpu(self, error);
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
    self->choosing.seconds_left =
        request->choosing_seconds > 0 ? request->choosing_seconds : CUDA_CHOOSING_SECONDS;
    size_t versions[CHOICE_LIBRARIES] = {
        [CHOICE_CUDNN] = cudnnGetVersion(), [CHOICE_CUBLASLT] = cublasLtGetVersion()};
    return choices_create(self->base.facts.name, versions, choices_shipped, request->plan_cache,
                          &self->choices, error);
}

static void cuda_close(device *base) {
    cuda_device *self = cuda_enter(base);
    cudaDeviceSynchronize();
    if (self->choices)
        choices_save(self->choices);
    choices_destroy(self->choices);
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

static int cuda_write_word(device *self, device_stream *stream, uint32_t *word, uint32_t value,
                           ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_write_word(cuda_stream(stream), word, value), "writing a progress word");
    return LS_OK;
}

static int export_choices(device *self, char **out, ls_error *error) {
    choices *choices = ((cuda_device *)self)->choices;
    choices_save(choices);
    return choices_export(choices, out, error);
}

static int import_choices(device *self, const char *text, ls_error *error) {
    return choices_import(((cuda_device *)self)->choices, text, error);
}

/* Where nothing is timed there is nothing to wait for. */
static void collect_choices(device *self) {
    cuda_device *cuda = (cuda_device *)self;
    cuda->choosing.collects = !cuda->first_offer && !choices_imported(cuda->choices);
}

static int settle_choices(device *self, ls_error *error) {
    return dnn_settle(cuda_enter(self), error);
}

const device_interface device_cuda = {
    .name = "cuda",
    .ops = &ops_cuda,
    .kinds = cuda_kinds,
    .numa_node = numa_node,
    .open = cuda_open,
    .describe = cuda_describe,
    .close = cuda_close,
    .check_precision = cuda_check_precision,
    .allocate = cuda_allocate,
    .release = cuda_release,
    .memory = cuda_memory,
    .most_held = cuda_most_held,
    .host_allocate = cuda_host_allocate,
    .host_release = cuda_host_release,
    .stream_create = cuda_stream_create,
    .stream_create_urgent = cuda_stream_create_urgent,
    .stream_destroy = cuda_stream_destroy,
    .stream_synchronize = cuda_stream_synchronize,
    .event_create = cuda_event_create,
    .order_create = cuda_order_create,
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
    .choices_export = export_choices,
    .choices_import = import_choices,
    .choices_collect = collect_choices,
    .choices_settle = settle_choices,
    .range_begin = cuda_range_begin,
    .range_end = cuda_range_end,
    .copy = cuda_copy,
    .fill_zero = cuda_fill_zero,
    .write_word = cuda_write_word,
};
