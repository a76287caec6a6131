/* Backward of weights by oneDNN: conv2d_parts.h. */
#include "device/cpu/conv2d_parts.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

static size_t align64(size_t bytes) {
    return (bytes + 63) & ~(size_t)63;
}

static int out_size(const conv2d_shape *shape, int size) {
    return (size + 2 * shape->padding - shape->kernel) / shape->stride + 1;
}

/* Whether each row (or column) of the filter meets one of the image's. */
static bool all_taps_meet(const conv2d_shape *shape, int size) {
    for (int tap = 0; tap < shape->kernel; tap++) {
        bool meets = false;
        for (int output = 0; output < out_size(shape, size) && !meets; output++) {
            int at = output * shape->stride + tap - shape->padding;
            meets = at >= 0 && at < size;
        }
        if (!meets)
            return false;
    }
    return true;
}

/* The first image of a part. */
static int first_of(const conv2d_weights *self, int part) {
    return (int)((int64_t)self->shape.n * part / self->parts);
}

static size_t bias_bytes(const conv2d_weights *self) {
    return self->shape.no_bias ? 0 : align64((size_t)self->shape.out_channels * sizeof(float));
}

/* Of the workspace, for each part: scratch memory, its blocked gradient, that of the bias. */
static size_t part_bytes(const conv2d_weights *self) {
    return self->scratch_bytes + align64(self->gradient_bytes) + bias_bytes(self);
}

static float *gradient_of(const conv2d_weights *self, void *workspace, int part) {
    size_t at = (size_t)part * part_bytes(self) + self->scratch_bytes;
    return (float *)((char *)workspace + at);
}

static float *bias_of(const conv2d_weights *self, void *workspace, int part) {
    char *gradient = (char *)gradient_of(self, workspace, part);
    return (float *)(gradient + align64(self->gradient_bytes));
}

/* Of one part: a batch of its own, with the gradient as `gradient` describes it. */
static int prepare_part(onednn *engine, const conv2d_shape *shape, onednn_algorithm algorithm,
                        onednn_desc gradient, onednn_call *out, ls_error *error) {
    onednn_call forward = {0};
    conv2d_descs descs = cpu_conv2d_describe(shape, algorithm);
    int status = onednn_convolution_forward(engine, descs.x, descs.weights_any, descs.bias, descs.y,
                                            descs.window, false, &forward, error);
    if (status == LS_OK)
        status = onednn_convolution_backward_weights(
            engine, descs.x, gradient ? gradient : descs.gradient_any, descs.bias, descs.y,
            descs.window, &forward, out, error);
    onednn_call_release(&forward);
    cpu_conv2d_forget(&descs);
    return status;
}

static int prepare_parts(conv2d_weights *self, onednn *engine, onednn_algorithm algorithm,
                         ls_error *error) {
    int threads = omp_get_max_threads(), status = LS_OK;
    onednn_desc like = NULL;
    omp_set_num_threads(1); /* what oneDNN makes calls for */
    for (int part = 0; part < self->parts && status == LS_OK; part++) {
        conv2d_shape shape = self->shape;
        shape.n = first_of(self, part + 1) - first_of(self, part);
        status = prepare_part(engine, &shape, algorithm, like, &self->calls[part], error);
        if (status == LS_OK)
            like = onednn_call_desc(&self->calls[0], DNNL_ARG_DIFF_WEIGHTS);
    }
    omp_set_num_threads(threads);
    return status;
}

static int prepare_whole(conv2d_weights *self, onednn *engine, const conv2d_descs *descs,
                         const onednn_call *forward, ls_error *error) {
    return onednn_convolution_backward_weights(engine, descs->x, descs->gradient_any, descs->bias,
                                               descs->y, descs->window, forward, &self->calls[0],
                                               error);
}

int cpu_conv2d_weights_prepare(onednn *engine, const conv2d_shape *shape, const conv2d_descs *descs,
                               const onednn_call *forward, conv2d_weights *out, ls_error *error) {
    int threads = omp_get_max_threads(), most = threads < shape->n ? threads : shape->n;
    *out = (conv2d_weights){.shape = *shape, .parts = shape->type == DTYPE_BF16 ? most : 1};
    out->calls = calloc((size_t)out->parts, sizeof *out->calls);
    if (!out->calls)
        return ls_fail(error, LS_FAILED, "out of memory");
    LS_TRY(out->parts > 1 ? prepare_parts(out, engine, descs->window.algorithm, error)
                          : prepare_whole(out, engine, descs, forward, error));
    onednn_desc blocked = onednn_call_desc(&out->calls[0], DNNL_ARG_DIFF_WEIGHTS);
    out->gradient_bytes = onednn_desc_bytes(blocked);
    for (int part = 0; part < out->parts; part++)
        if (align64(out->calls[part].scratchpad_bytes) > out->scratch_bytes)
            out->scratch_bytes = align64(out->calls[part].scratchpad_bytes);
    out->has_idle_taps =
        !all_taps_meet(shape, shape->height) || !all_taps_meet(shape, shape->width);
    out->workspace_bytes = (size_t)out->parts * part_bytes(out);
    LS_TRY(onednn_reorder(engine, blocked, descs->canonical, &out->unpack, error));
    if (out->unpack.scratchpad_bytes)
        return ls_fail(error, LS_FAILED, "oneDNN wants scratch memory for a reorder of gradients");
    return LS_OK;
}

static int run_part(conv2d_weights *self, int part, const void *x, const void *dy, float *dbias,
                    void *workspace, ls_error *error) {
    const conv2d_shape *s = &self->shape;
    size_t first = (size_t)first_of(self, part) * dtype_bytes(s->type);
    size_t in = (size_t)s->in_channels * (size_t)s->height * (size_t)s->width;
    size_t out =
        (size_t)s->out_channels * (size_t)out_size(s, s->height) * (size_t)out_size(s, s->width);
    float *gradient = gradient_of(self, workspace, part);
    char *scratch = (char *)gradient - self->scratch_bytes;
    /* Of taps that meet nothing but padding oneDNN 2.6 adds up, in bf16, scratch memory that it has
     * not written. */
    if (self->has_idle_taps)
        memset(scratch, 0, part_bytes(self));
    onednn_argument arguments[] = {{DNNL_ARG_SRC, (const char *)x + first * in},
                                   {DNNL_ARG_DIFF_DST, (const char *)dy + first * out},
                                   {DNNL_ARG_DIFF_WEIGHTS, gradient},
                                   {DNNL_ARG_DIFF_BIAS, dbias}};
    return onednn_call_run(&self->calls[part], arguments, 4, scratch, error);
}

/* Each element of all parts, in their order, into the first; and of the bias into dbias. */
static void add_parts(const conv2d_weights *self, float *dbias, void *workspace) {
    float *sum = gradient_of(self, workspace, 0);
    size_t count = self->gradient_bytes / sizeof(float),
           channels = (size_t)self->shape.out_channels;
    for (int part = 1; part < self->parts; part++) {
        const float *from = gradient_of(self, workspace, part);
#pragma omp parallel for simd schedule(static)
        for (size_t i = 0; i < count; i++)
            sum[i] += from[i];
    }
    for (size_t i = 0; dbias && i < channels; i++) {
        dbias[i] = bias_of(self, workspace, 0)[i];
        for (int part = 1; part < self->parts; part++)
            dbias[i] += bias_of(self, workspace, part)[i];
    }
}

/* The whole team, as device_alone has it, though there may be fewer parts. */
static int run_parts(conv2d_weights *self, const void *x, const void *dy, float *dbias,
                     void *workspace, ls_error *error) {
    int status = LS_OK;
#pragma omp parallel
    {
        for (int part = omp_get_thread_num(); part < self->parts; part += omp_get_num_threads()) {
            ls_error failed = {0};
            int answer =
                run_part(self, part, x, dy, bias_of(self, workspace, part), workspace, &failed);
#pragma omp critical(conv2d_weights)
            if (answer != LS_OK) {
                status = answer;
                *error = failed;
            }
        }
    }
    if (status == LS_OK)
        add_parts(self, dbias, workspace);
    return status;
}

int cpu_conv2d_weights_run(conv2d_weights *self, const void *x, const void *dy, float *dweights,
                           float *dbias, void *workspace, ls_error *error) {
    LS_TRY(self->parts > 1 ? run_parts(self, x, dy, dbias, workspace, error)
                           : run_part(self, 0, x, dy, dbias, workspace, error));
    onednn_argument unpack[] = {{DNNL_ARG_FROM, gradient_of(self, workspace, 0)},
                                {DNNL_ARG_TO, dweights}};
    return onednn_call_run(&self->unpack, unpack, 2, NULL, error);
}

void cpu_conv2d_weights_release(conv2d_weights *self) {
    for (int part = 0; part < self->parts && self->calls; part++)
        onednn_call_release(&self->calls[part]);
    onednn_call_release(&self->unpack);
    free(self->calls);
    *self = (conv2d_weights){0};
}
