/* The cpu device, and the tables of its ops. */
#include "device/cpu/cpu.h"
#include "device/host.h"

#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static tensor_layout cpu_choose_layout(const device *base, layout_role role, int channels,
                                       dtype type) {
    const cpu_device *self = (const cpu_device *)base;
    return cpu_layouts_choose(type == DTYPE_BF16 ? &self->bf16 : &self->fp32, role, channels);
}

extern const op cpu_conv2d, cpu_linear, cpu_maxpool2d, cpu_join, cpu_batchnorm2d, cpu_avgpool2d,
    cpu_layernorm, cpu_attention, cpu_patches, cpu_embedding, cpu_tokenpool, cpu_dropout;

static const op *const cpu_kinds[] = {&cpu_conv2d,
                                      &cpu_linear,
                                      &cpu_maxpool2d,
                                      &cpu_join,
                                      &cpu_batchnorm2d,
                                      &cpu_avgpool2d,
                                      &cpu_layernorm,
                                      &cpu_attention,
                                      &cpu_patches,
                                      &cpu_embedding,
                                      &cpu_tokenpool,
                                      &cpu_dropout,
                                      NULL};

static const ops cpu_ops = {
    .choose_layout = cpu_choose_layout,
    .relu_backward = cpu_relu_backward,
    .softmax_cross_entropy = cpu_softmax_cross_entropy,
    .make_batch = cpu_make_batch,
    .add = cpu_add,
    .adam = cpu_adam,
    .sgd = cpu_sgd,
    .adam_pair = cpu_adam_pair,
    .sgd_pair = cpu_sgd_pair,
    .average = cpu_average,
    .clip_norm = cpu_clip_norm,
    .check_finite = cpu_check_finite,
    .advance = cpu_advance,
    .mix = host_mix,
    .begin_epoch = host_begin_epoch,
    .cast = cpu_cast,
    .sums_of_squares = cpu_sums_of_squares,
    .fingerprint = cpu_fingerprint,
};

const device_interface device_cpu = {
    .name = "cpu",
    .ops = &cpu_ops,
    .kinds = cpu_kinds,
    .open = cpu_open,
    .describe = cpu_describe,
    .close = cpu_close,
    .check_precision = cpu_check_precision,
    HOST_DEVICE_CALLS,
    .side_by_side = cpu_side_by_side,
};
