/* Memory, streams and events of the cpu device, and its table of ops. */
#include "device/cpu/cpu.h"
#include "base/clock.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static void processor_name(char *out, size_t capacity) {
    char line[256];
    FILE *file = fopen("/proc/cpuinfo", "r");
    snprintf(out, capacity, "CPU");
    while (file && fgets(line, sizeof line, file)) {
        const char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (!colon)
            continue;
        snprintf(out, capacity, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
        break;
    }
    if (file)
        fclose(file);
}

static void cpu_close(device *base) {
    cpu_device *self = (cpu_device *)base;
    onednn_close(&self->engine);
    free(self);
}

/* Starts the OpenMP workers now and binds each, so that no step pays for it. */
static void start_threads(const device_request *request) {
    omp_set_dynamic(0);
    omp_set_num_threads(request->threads);
#pragma omp parallel num_threads(request->threads)
    {
        if (request->bind_thread)
            request->bind_thread(request->bind_context, omp_get_thread_num());
    }
}

/* Of several, always the whole team: libgomp ends the threads that a smaller one has no place for,
 * and the next would be new and unbound. The limit holds for the regions that a worker opens and
 * for what oneDNN asks about; it ends with this region. */
static void cpu_side_by_side(device *base, int count, void (*run)(void *context, int worker),
                             void *context) {
    int team = count > 1 ? ((cpu_device *)base)->threads : 1;
#pragma omp parallel num_threads(team)
    {
        omp_set_num_threads(1);
        if (omp_get_thread_num() < count)
            run(context, omp_get_thread_num());
    }
}

static void describe(const device_request *request, const cpu_layouts *layouts, device_facts *out) {
    processor_name(out->name, sizeof out->name);
    snprintf(out->library, sizeof out->library, "%s", onednn_describe());
    out->numa_node = -1;
    out->threads = request->threads;
    out->host_addressable = true;
    memcpy(out->reference, layouts->reference, sizeof out->reference);
}

static int cpu_describe(const device_request *request, device_facts *out, ls_error *error) {
    onednn engine = {0};
    int status = onednn_open(&engine, error);
    if (status == LS_OK) {
        cpu_layouts layouts = cpu_layouts_ask(&engine, DTYPE_F32);
        describe(request, &layouts, out);
    }
    onednn_close(&engine);
    return status;
}

static int cpu_open(const device_request *request, device **out, ls_error *error) {
    cpu_device *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    extern const device_interface device_cpu;
    self->base.is = &device_cpu;
    self->threads = request->threads;
    start_threads(request);
    int status = cpu_conv2d_wanted(&self->convolutions, error);
    if (status == LS_OK)
        status = onednn_open(&self->engine, error);
    if (status != LS_OK) {
        cpu_close(&self->base);
        return status;
    }
    self->fp32 = cpu_layouts_ask(&self->engine, DTYPE_F32);
    if (onednn_has_bf16())
        self->bf16 = cpu_layouts_ask(&self->engine, DTYPE_BF16);
    describe(request, &self->fp32, &self->base.facts);
    *out = &self->base;
    return LS_OK;
}

static int cpu_check_precision(device *self, precision wanted, ls_error *error) {
    (void)self;
    if (wanted == PRECISION_FP32 || (wanted == PRECISION_BF16 && onednn_has_bf16()))
        return LS_OK;
    if (wanted == PRECISION_BF16)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--precision bf16: device cpu needs AVX512-BF16 or AMX-BF16 for it, this "
                       "CPU has %s: use fp32",
                       onednn_isa());
    return ls_fail(error, LS_BAD_LAUNCH, "--precision %s: device cpu computes in fp32%s",
                   precision_name(wanted), onednn_has_bf16() ? " and bf16" : "");
}

/* Of what is passed over every step, in pages that a TLB holds all of. */
enum { HUGE_PAGE = 2 << 20 };

static int cpu_allocate(device *self, size_t bytes, const char *what, void **out, ls_error *error) {
    (void)self;
    size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : 256;
    size_t rounded = (bytes + alignment - 1) / alignment * alignment;
    *out = rounded < bytes ? NULL : aligned_alloc(alignment, rounded ? rounded : 256);
    if (!*out)
        return ls_fail(error, LS_FAILED, "device cpu: out of memory: %zu bytes for %s", bytes,
                       what);
#ifdef MADV_HUGEPAGE
    if (alignment == HUGE_PAGE)
        madvise(*out, rounded, MADV_HUGEPAGE); /* a wish: a kernel without them refuses */
#endif
    memset(*out, 0, rounded);
    return LS_OK;
}

static int cpu_host_allocate(device *self, size_t bytes, void **out, ls_error *error) {
    return cpu_allocate(self, bytes, "the host", out, error);
}

static void cpu_release(device *self, void *memory) {
    (void)self;
    free(memory);
}

/* A stream is a token: work is done when a call returns. An event is a stamp of the clock. */
struct device_event {
    double seconds; /* at record */
};

static int cpu_stream_create(device *self, device_stream **out, ls_error *error) {
    (void)error;
    *out = (device_stream *)self;
    return LS_OK;
}

static void cpu_stream_destroy(device *self, device_stream *stream) {
    (void)self, (void)stream;
}

static int cpu_stream_synchronize(device *self, device_stream *stream, ls_error *error) {
    (void)self, (void)stream, (void)error;
    return LS_OK;
}

static int cpu_event_create(device *self, device_event **out, ls_error *error) {
    (void)self;
    *out = calloc(1, sizeof **out);
    return *out ? LS_OK : ls_fail(error, LS_FAILED, "device cpu: out of memory");
}

static void cpu_event_destroy(device *self, device_event *event) {
    (void)self;
    free(event);
}

static int cpu_event_record(device *self, device_event *event, device_stream *stream,
                            ls_error *error) {
    (void)self, (void)stream, (void)error;
    event->seconds = clock_seconds();
    return LS_OK;
}

static int cpu_event_query(device *self, device_event *event, bool *done, ls_error *error) {
    (void)self, (void)event, (void)error;
    *done = true;
    return LS_OK;
}

static int cpu_event_synchronize(device *self, device_event *event, ls_error *error) {
    (void)self, (void)event, (void)error;
    return LS_OK;
}

static int cpu_event_seconds(device *self, device_event *from, device_event *to, double *out,
                             ls_error *error) {
    (void)self, (void)error;
    *out = to->seconds - from->seconds;
    return LS_OK;
}

static int cpu_stream_wait_event(device *self, device_stream *stream, device_event *event,
                                 ls_error *error) {
    (void)self, (void)stream, (void)event, (void)error;
    return LS_OK;
}

static int cpu_copy(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
                    copy_kind kind, ls_error *error) {
    (void)self, (void)stream, (void)kind, (void)error;
    if (bytes)
        memcpy(to, from, bytes);
    return LS_OK;
}

static int cpu_fill_zero(device *self, device_stream *stream, void *memory, size_t bytes,
                         ls_error *error) {
    (void)self, (void)stream, (void)error;
    if (bytes)
        memset(memory, 0, bytes);
    return LS_OK;
}

/* Atomic: a watcher is another thread. */
static int cpu_write_word(device *self, device_stream *stream, uint32_t *word, uint32_t value,
                          ls_error *error) {
    (void)self, (void)stream, (void)error;
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
    return LS_OK;
}

static tensor_layout cpu_choose_layout(const device *base, layout_role role, int channels,
                                       dtype type) {
    const cpu_device *self = (const cpu_device *)base;
    return cpu_layouts_choose(type == DTYPE_BF16 ? &self->bf16 : &self->fp32, role, channels);
}

int cpu_check_type(const char *op, dtype type, ls_error *error) {
    if (type == DTYPE_F32 || (type == DTYPE_BF16 && onednn_has_bf16()))
        return LS_OK;
    return ls_fail(error, LS_FAILED, "device cpu: %s: expected activations in fp32%s, found %s", op,
                   onednn_has_bf16() ? " or bf16" : "", dtype_name(type));
}

int cpu_plan_create(device *self, cpu_plan_kind kind, dtype type, cpu_plan **out, ls_error *error) {
    static const char *const names[] = {"conv2d", "linear", "maxpool2d"};
    LS_TRY(cpu_check_type(names[kind], type, error));
    *out = calloc(1, sizeof **out);
    if (!*out)
        return ls_fail(error, LS_FAILED, "out of memory");
    (*out)->device = (cpu_device *)self;
    (*out)->kind = kind;
    return LS_OK;
}

void cpu_plan_need_workspace(cpu_plan *plan, size_t bytes) {
    if (bytes > plan->workspace_bytes)
        plan->workspace_bytes = bytes;
}

void cpu_plan_release(device *self, plan *plan) {
    (void)self;
    cpu_plan *made = (cpu_plan *)plan;
    if (!made)
        return;
    onednn_call *calls[] = {&made->forward,      &made->backward_data, &made->backward_weights,
                            &made->pack_forward, &made->pack_backward, &made->unpack_gradient};
    for (size_t index = 0; index < sizeof calls / sizeof calls[0]; index++)
        onednn_call_release(calls[index]);
    free(made);
}

static size_t cpu_plan_workspace_bytes(const plan *plan) {
    return ((const cpu_plan *)plan)->workspace_bytes;
}

static size_t cpu_plan_packed_bytes(const plan *plan) {
    return ((const cpu_plan *)plan)->packed_bytes;
}

static size_t cpu_plan_packed_element(const plan *plan) {
    return ((const cpu_plan *)plan)->packed_in_order ? sizeof(uint16_t) : 0;
}

static size_t cpu_plan_saved_bytes(const plan *plan) {
    return ((const cpu_plan *)plan)->saved_bytes;
}

static const char *cpu_plan_describe(const plan *plan) {
    return ((const cpu_plan *)plan)->description;
}

static const ops cpu_ops = {
    .choose_layout = cpu_choose_layout,
    .conv2d_prepare = cpu_conv2d_prepare,
    .maxpool2d_prepare = cpu_maxpool2d_prepare,
    .linear_prepare = cpu_linear_prepare,
    .plan_release = cpu_plan_release,
    .plan_workspace_bytes = cpu_plan_workspace_bytes,
    .plan_packed_bytes = cpu_plan_packed_bytes,
    .plan_packed_element = cpu_plan_packed_element,
    .plan_saved_bytes = cpu_plan_saved_bytes,
    .plan_describe = cpu_plan_describe,
    .pack_weights = cpu_pack_weights,
    .conv2d_forward = cpu_conv2d_forward,
    .conv2d_backward_data = cpu_conv2d_backward_data,
    .conv2d_backward_weights = cpu_conv2d_backward_weights,
    .linear_forward = cpu_linear_forward,
    .linear_backward_data = cpu_linear_backward_data,
    .linear_backward_weights = cpu_linear_backward_weights,
    .maxpool2d_forward = cpu_maxpool2d_forward,
    .maxpool2d_backward = cpu_maxpool2d_backward,
    .relu_backward = cpu_relu_backward,
    .softmax_cross_entropy = cpu_softmax_cross_entropy,
    .make_batch = cpu_make_batch,
    .add = cpu_add,
    .adam = cpu_adam,
    .sgd = cpu_sgd,
    .check_finite = cpu_check_finite,
    .advance = cpu_advance,
    .cast = cpu_cast,
    .sum_of_squares = cpu_sum_of_squares,
    .fingerprint = cpu_fingerprint,
};

const device_interface device_cpu = {
    .name = "cpu",
    .ops = &cpu_ops,
    .open = cpu_open,
    .describe = cpu_describe,
    .close = cpu_close,
    .check_precision = cpu_check_precision,
    .allocate = cpu_allocate,
    .release = cpu_release,
    .host_allocate = cpu_host_allocate,
    .host_release = cpu_release,
    .stream_create = cpu_stream_create,
    .stream_destroy = cpu_stream_destroy,
    .stream_synchronize = cpu_stream_synchronize,
    .event_create = cpu_event_create,
    .event_destroy = cpu_event_destroy,
    .event_record = cpu_event_record,
    .event_query = cpu_event_query,
    .event_synchronize = cpu_event_synchronize,
    .event_seconds = cpu_event_seconds,
    .stream_wait_event = cpu_stream_wait_event,
    .copy = cpu_copy,
    .fill_zero = cpu_fill_zero,
    .write_word = cpu_write_word,
    .side_by_side = cpu_side_by_side,
};
