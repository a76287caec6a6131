#include "conv.h"
#include "conv_choose.h"
#include "kernels.h"

#include "base/hash.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct conv_way {
    bool present; /* backward-data is not, for the first layer */
    conv_run run; /* zeroed where cuDNN has none: a kernel of ours computes */
    bool refused; /* while it trained: from then on, too */
    char source[CONV_SOURCE_BYTES];
} conv_way;

typedef struct conv_plan {
    conv_way ways[CONV_DIRECTIONS];
} conv_plan;

static void release_detail(void *detail) {
    conv_plan *self = detail;
    for (int direction = 0; direction < CONV_DIRECTIONS; direction++)
        conv_run_destroy(&self->ways[direction].run);
    free(self);
}

static conv_way *way_of(const cuda_plan *self, conv_direction direction) {
    return &((conv_plan *)self->detail)->ways[direction];
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

/* "cuDNN forward 10.9f3c21aa (best of 16)", by cuDNN's number of the engine and a hash over the
 * values of its knobs; or "our wgrad kernel (no engine)". */
static void describe_way(cuda_plan *self, conv_direction direction) {
    const conv_way *way = way_of(self, direction);
    size_t length = strlen(self->description);
    char *to = self->description + length;
    size_t room = sizeof self->description - length;
    char engine[CONV_CHOICE_TEXT_BYTES];
    if (!way->present)
        return;
    const char *between = length ? "; " : "", *name = conv_direction_name(direction);
    if (way->refused || !way->run.graph) {
        snprintf(to, room, "%sour %s kernel (%s)", between, name,
                 way->refused ? "refused in a step" : way->source);
        return;
    }
    conv_engine_describe(&way->run.choice.engine, engine, sizeof engine);
    snprintf(to, room, "%scuDNN %s %lld.%08" PRIx32 " (%s)", between, name,
             (long long)way->run.choice.engine.index,
             (uint32_t)hash_bytes(HASH_START, engine, strlen(engine)), way->source);
}

static void describe(cuda_plan *self) {
    self->description[0] = '\0';
    for (int direction = 0; direction < CONV_DIRECTIONS; direction++)
        describe_way(self, (conv_direction)direction);
    const char *note = conv_choices_note(self->device->choices);
    size_t length = strlen(self->description);
    snprintf(self->description + length, sizeof self->description - length, "%s%s",
             note[0] ? "; " : "", note);
}

static int prepare_direction(cuda_plan *self, conv_direction direction, ls_error *error) {
    conv_way *way = way_of(self, direction);
    way->present = true;
    LS_TRY(
        conv_choose(self->device, &self->shape.conv2d, direction, &way->run, way->source, error));
    need_workspace(self, way->run.workspace_bytes);
    return LS_OK;
}

static int prepare(cuda_plan *self, ls_error *error) {
    const conv2d_shape *shape = &self->shape.conv2d;
    LS_TRY(conv_check_shape(shape, error));
    self->detail = calloc(1, sizeof(conv_plan));
    if (!self->detail)
        return ls_fail(error, LS_FAILED, "out of host memory");
    self->release_detail = release_detail;
    self->describe = describe;
    LS_TRY(prepare_direction(self, CONV_FORWARD, error));
    if (shape->need_dx)
        LS_TRY(prepare_direction(self, CONV_BACKWARD_DATA, error));
    LS_TRY(prepare_direction(self, CONV_BACKWARD_WEIGHTS, error));
    need_workspace(self, kernel_column_sums_workspace(self->device->multiprocessors, shape->type,
                                                      output_rows(shape), shape->out_channels));
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

static cudaError_t launch_kernel(const cuda_plan *self, conv_direction direction,
                                 cudaStream_t stream, const conv_pointers *at) {
    const conv2d_shape *shape = &self->shape.conv2d;
    direct_arguments of = {.n = shape->n,
                           .height = shape->height,
                           .width = shape->width,
                           .channels = shape->in_channels,
                           .out_height = conv_output_size(shape, shape->height),
                           .out_width = conv_output_size(shape, shape->width),
                           .out_channels = shape->out_channels,
                           .kernel = shape->kernel,
                           .stride = shape->stride,
                           .padding = shape->padding,
                           .relu = shape->relu};
    if (direction == CONV_FORWARD)
        return kernel_convolve(stream, shape->type, &of, at->input, at->weights, at->bias,
                               (void *)at->output);
    if (direction == CONV_BACKWARD_DATA)
        return kernel_convolve_back(stream, shape->type, &of, at->output, at->weights,
                                    (void *)at->input);
    return kernel_convolve_weights(stream, shape->type, &of, at->input, at->output,
                                   (float *)at->weights);
}

/* In the middle of a run the workspace is what it is: the kernel needs none. */
static void give_up(const cuda_plan *self, conv_direction direction, const ls_error *why) {
    char shape[CONV_SHAPE_TEXT_BYTES];
    cudaGetLastError(); /* the library's: the kernel is not blamed */
    conv_shape_text(&self->shape.conv2d, direction, shape);
    device_remark(&self->device->base.fallbacks,
                  "convolution %s: engine %lld in a step: %s; taken: a kernel of ours", shape,
                  (long long)way_of(self, direction)->run.choice.engine.index, why->text);
    way_of(self, direction)->refused = true;
}

static int run(const cuda_plan *self, conv_direction direction, cudaStream_t stream,
               const conv_pointers *pointers, ls_error *error) {
    conv_way *way = way_of(self, direction);
    cuda_enter(&self->device->base);
    if (way->run.graph && !way->refused) {
        ls_error why = {0};
        bool refused;
        if (conv_run_execute(&way->run, stream, pointers, &refused, &why) == LS_OK)
            return LS_OK;
        if (!refused)
            return ls_fail(error, why.code, "%s", why.text);
        give_up(self, direction, &why);
    }
    CUDA_TRY(launch_kernel(self, direction, stream, pointers), "a convolution by a kernel of ours");
    return LS_OK;
}

int cuda_conv2d_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                        const void *packed, const float *bias, void *y, void *workspace,
                        ls_error *error) {
    conv_pointers pointers = {.input = x,
                              .weights = weights_of(cuda_plan_of(plan), weights, packed),
                              .output = y,
                              .bias = bias,
                              .workspace = workspace};
    return run(cuda_plan_of(plan), CONV_FORWARD, cuda_stream(stream), &pointers, error);
}

int cuda_conv2d_backward_data(plan *plan, device_stream *stream, const void *dy,
                              const float *weights, const void *packed, void *dx, void *workspace,
                              ls_error *error) {
    conv_pointers pointers = {.input = dx,
                              .weights = weights_of(cuda_plan_of(plan), weights, packed),
                              .output = dy,
                              .workspace = workspace};
    return run(cuda_plan_of(plan), CONV_BACKWARD_DATA, cuda_stream(stream), &pointers, error);
}

int cuda_conv2d_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                 float *dweights, float *dbias, void *workspace, ls_error *error) {
    const cuda_plan *self = cuda_plan_of(plan);
    const conv2d_shape *shape = &self->shape.conv2d;
    conv_pointers pointers = {
        .input = x, .weights = dweights, .output = dy, .workspace = workspace};
    LS_TRY(run(self, CONV_BACKWARD_WEIGHTS, cuda_stream(stream), &pointers, error));
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
