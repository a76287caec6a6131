#include "conv.h"
#include "conv_choose.h"
#include "kernels.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct conv_plan {
    conv_run runs[CONV_DIRECTIONS]; /* no backward-data for the first layer */
} conv_plan;

static void release_detail(void *detail) {
    conv_plan *self = detail;
    for (int direction = 0; direction < CONV_DIRECTIONS; direction++)
        conv_run_destroy(&self->runs[direction]);
    free(self);
}

static conv_run *run_of(plan *plan, conv_direction direction) {
    cuda_enter(&cuda_plan_of(plan)->device->base);
    return &((conv_plan *)cuda_plan_of(plan)->detail)->runs[direction];
}

/* Rows of dy whose sum is the bias's gradient. */
static size_t output_rows(const conv2d_shape *shape) {
    return (size_t)shape->n * (size_t)conv_output_size(shape, shape->height) *
           (size_t)conv_output_size(shape, shape->width);
}

static void need_workspace(cuda_plan *self, size_t bytes) {
    if (bytes > self->workspace_bytes)
        self->workspace_bytes = bytes;
}

/* "forward 10.9f3c21aa (best of 16); wgrad 49.51d0e2b7 (known)": engines by cuDNN's numbers, and a
 * hash over the values of their knobs. */
static void describe(cuda_plan *self, const conv_run *run, const char *source) {
    size_t length = strlen(self->description);
    char engine[CONV_CHOICE_TEXT_BYTES];
    conv_engine_describe(&run->choice.engine, engine, sizeof engine);
    snprintf(self->description + length, sizeof self->description - length,
             "%scuDNN %s %lld.%08" PRIx32 " (%s)", length ? "; " : "",
             conv_direction_name(run->graph->direction), (long long)run->choice.engine.index,
             (uint32_t)hash_bytes(HASH_START, engine, strlen(engine)), source);
}

static int prepare_direction(cuda_plan *self, conv_direction direction, ls_error *error) {
    conv_run *run = run_of((plan *)self, direction);
    char source[CONV_SOURCE_BYTES];
    LS_TRY(conv_choose(self->device, &self->shape.conv2d, direction, run, source, error));
    need_workspace(self, run->workspace_bytes);
    describe(self, run, source);
    return LS_OK;
}

static int prepare(cuda_plan *self, ls_error *error) {
    const conv2d_shape *shape = &self->shape.conv2d;
    self->detail = calloc(1, sizeof(conv_plan));
    if (!self->detail)
        return ls_fail(error, LS_FAILED, "out of host memory");
    self->release_detail = release_detail;
    LS_TRY(prepare_direction(self, CONV_FORWARD, error));
    if (shape->need_dx)
        LS_TRY(prepare_direction(self, CONV_BACKWARD_DATA, error));
    LS_TRY(prepare_direction(self, CONV_BACKWARD_WEIGHTS, error));
    need_workspace(self, kernel_column_sums_workspace(self->device->multiprocessors, shape->type,
                                                      output_rows(shape), shape->out_channels));
    const char *note = conv_choices_note(self->device->choices);
    size_t length = strlen(self->description);
    snprintf(self->description + length, sizeof self->description - length, "%s%s",
             note[0] ? "; " : "", note);
    self->packed_type = shape->type;
    if (shape->type != DTYPE_F32)
        self->packed_bytes = conv_weight_count(shape) * dtype_bytes(shape->type);
    return LS_OK;
}

int cuda_conv2d_prepare(device *self, const conv2d_shape *shape, const plan *like, plan **out,
                        ls_error *error) {
    (void)like; /* packed weights are canonical whatever n is */
    cuda_plan *made;
    cuda_enter(self);
    LS_TRY(cuda_plan_create(self, CUDA_CONV2D, &made, error));
    made->shape.conv2d = *shape;
    int status = prepare(made, error);
    if (status != LS_OK) {
        cuda_plan_release(self, (plan *)made);
        return status;
    }
    *out = (plan *)made;
    return LS_OK;
}

static const void *weights_of(const cuda_plan *self, const float *weights, const void *packed) {
    return self->packed_bytes ? packed : weights;
}

int cuda_conv2d_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                        const void *packed, const float *bias, void *y, void *workspace,
                        ls_error *error) {
    conv_pointers pointers = {.input = x,
                              .weights = weights_of(cuda_plan_of(plan), weights, packed),
                              .output = y,
                              .bias = bias,
                              .workspace = workspace};
    return conv_run_execute(run_of(plan, CONV_FORWARD), cuda_stream(stream), &pointers, error);
}

int cuda_conv2d_backward_data(plan *plan, device_stream *stream, const void *dy,
                              const float *weights, const void *packed, void *dx, void *workspace,
                              ls_error *error) {
    conv_pointers pointers = {.input = dx,
                              .weights = weights_of(cuda_plan_of(plan), weights, packed),
                              .output = dy,
                              .workspace = workspace};
    return conv_run_execute(run_of(plan, CONV_BACKWARD_DATA), cuda_stream(stream), &pointers,
                            error);
}

int cuda_conv2d_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                 float *dweights, float *dbias, void *workspace, ls_error *error) {
    const cuda_plan *self = cuda_plan_of(plan);
    const conv2d_shape *shape = &self->shape.conv2d;
    conv_pointers pointers = {
        .input = x, .weights = dweights, .output = dy, .workspace = workspace};
    LS_TRY(conv_run_execute(run_of(plan, CONV_BACKWARD_WEIGHTS), cuda_stream(stream), &pointers,
                            error));
    CUDA_TRY(kernel_column_sums(cuda_stream(stream), self->device->multiprocessors, shape->type, dy,
                                output_rows(shape), shape->out_channels, dbias, workspace),
             "a bias's gradient");
    return LS_OK;
}

int cuda_choices_open(cuda_device *device, const char *path, ls_error *error) {
    return conv_choices_create(device->base.facts.name, cudnnGetVersion(), path, &device->choices,
                               error);
}

void cuda_choices_close(cuda_device *device) {
    if (device->choices)
        conv_choices_save(device->choices);
    conv_choices_destroy(device->choices);
    device->choices = NULL;
}

int cuda_choices_export(device *self, char **out, ls_error *error) {
    conv_choices *choices = ((cuda_device *)self)->choices;
    conv_choices_save(choices);
    return conv_choices_export(choices, out, error);
}

int cuda_choices_import(device *self, const char *text, ls_error *error) {
    return conv_choices_import(((cuda_device *)self)->choices, text, error);
}
