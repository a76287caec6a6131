#include "cuda/dnn/conv.h"
#include "cuda/choices/choices.h"
#include "cuda/dnn/conv_graph.h"
#include "cuda/dnn/conv_kernel.h"
#include "cuda/dnn/dnn_way.h"
#include "cuda/kernels/kernels.h"

typedef struct conv_plan {
    plan base;
    conv2d_shape shape; /* as cuDNN has it: with the input's channels as they lie */
    /* How the weights lie in the packed copy and in the gradient that is left; length 0: in order.
     */
    op_runs runs;
    size_t weights;      /* of the parameter */
    size_t padded_bytes; /* of the workspace, at its end: a gradient in runs on its way; else 0 */
    conv_problem problems[CONV_DIRECTIONS];
    dnn_way ways[CONV_DIRECTIONS]; /* backward-data has none for the first layer */
} conv_plan;

static void release(plan *base) {
    conv_plan *self = (conv_plan *)base;
    cuda_enter_plan(base);
    for (int direction = 0; direction < CONV_DIRECTIONS; direction++)
        dnn_way_release(&self->ways[direction]);
}

static cuda_device *device_of(const conv_plan *self) {
    return (cuda_device *)self->base.device;
}

/* Rows of dy whose sum is the bias's gradient. */
static size_t output_rows(const conv2d_shape *shape) {
    return (size_t)shape->n * (size_t)conv_output_size(shape, shape->height) *
           (size_t)conv_output_size(shape, shape->width);
}

static void describe(plan *base) {
    conv_plan *self = (conv_plan *)base;
    for (int direction = 0; direction < CONV_DIRECTIONS; direction++)
        dnn_way_describe(&self->ways[direction], &base->description);
    const char *note = choices_note(device_of(self)->choices);
    text_add(&base->description, "%s%s", note[0] ? "; " : "", note);
}

static int prepare_direction(conv_plan *self, conv_direction direction, ls_error *error) {
    conv_problem *problem = &self->problems[direction];
    dnn_way *way = &self->ways[direction];
    LS_TRY(conv_problem_init(&self->shape, direction, problem, error));
    problem->base.kernel = conv_kernel;
    LS_TRY(dnn_way_prepare(device_of(self), &problem->base, way, error));
    plan_need_workspace(&self->base, way->run.workspace_bytes);
    return LS_OK;
}

/* An input that is padded: so are weights and their gradient. */
static void pad(conv_plan *self) {
    conv2d_shape *shape = &self->shape;
    int own = shape->in_channels, lying = layout_channels(shape->in_layout, own);
    if (shape->in_layout != LAYOUT_NHWC_PADDED)
        return;
    self->runs = (op_runs){own, lying};
    shape->in_channels = lying;
    shape->in_layout = LAYOUT_NHWC;
    self->padded_bytes = conv_weight_count(shape) * dtype_bytes(shape->type);
}

/* Of weights in runs: what cuda_plan_packs and cuda_plan_leaves say of others. */
static void describe_runs(conv_plan *self) {
    plan *base = &self->base;
    if (!self->padded_bytes)
        return;
    base->packed[0] = (op_packed){self->padded_bytes, false, self->shape.type, self->runs};
    if (base->left[0].bytes)
        base->left[0] = (op_left){self->padded_bytes, self->shape.type, self->runs};
}

static int pack(plan *base, device_stream *stream, int parameter, const float *from, void *to,
                ls_error *error) {
    const conv_plan *self = (const conv_plan *)base;
    (void)parameter; /* of the others all are in order */
    LS_TRY(cuda_fill_zero(base->device, stream, to, self->padded_bytes, error));
    CUDA_TRY(kernel_into_runs(cuda_stream(stream), self->weights, self->runs.length,
                              self->runs.stride, from, self->shape.type, to),
             "packing the weights of a padded input");
    return LS_OK;
}

/* Where padded_bytes lie in the workspace. */
static size_t padded_offset(const conv_plan *self) {
    return self->base.workspace_bytes - self->padded_bytes;
}

/* Packed weights are the same whatever n is. */
static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    conv_plan *self = (conv_plan *)base;
    const conv2d_shape *shape = &self->shape;
    self->shape = *(const conv2d_shape *)wanted;
    self->weights = conv_weight_count(shape);
    cuda_enter_plan(base);
    LS_TRY(plan_refuse_activation(base, shape->activation, error));
    pad(self);
    LS_TRY(prepare_direction(self, CONV_FORWARD, error));
    if (shape->need_dx)
        LS_TRY(prepare_direction(self, CONV_BACKWARD_DATA, error));
    LS_TRY(prepare_direction(self, CONV_BACKWARD_WEIGHTS, error));
    if (!shape->no_bias)
        plan_need_workspace(base, kernel_column_sums_workspace(device_of(self)->multiprocessors,
                                                               shape->type, output_rows(shape),
                                                               shape->out_channels));
    if (self->padded_bytes)
        base->workspace_bytes = (base->workspace_bytes + 255) / 256 * 256 + self->padded_bytes;
    cuda_plan_packs(base, self->weights, shape->no_bias ? 0 : (size_t)shape->out_channels,
                    shape->type);
    cuda_plan_leaves(base, self->weights, shape->type);
    describe_runs(self);
    return LS_OK;
}

static int run(plan *base, conv_direction direction, cudaStream_t stream,
               const dnn_pointers *pointers, ls_error *error) {
    conv_plan *self = (conv_plan *)base;
    return dnn_way_run(&self->ways[direction], cuda_enter_plan(base), stream, pointers, error);
}

/* The bias as the graph's form wants it, where there is a copy of it; else it is cast on its way.
 */
static void take_bias(const conv_plan *self, const op_arguments *a, dnn_pointers *out) {
    const dnn_way *way = &self->ways[CONV_FORWARD];
    if (self->shape.no_bias)
        return;
    bool low = a->packed[1] && dnn_way_form(way) != DTYPE_F32;
    out->at[CONV_BIAS] = low ? a->packed[1] : a->parameters[1];
    out->at[CONV_KERNEL_BIAS] = a->parameters[1];
    out->low = low ? 1u << CONV_BIAS : 0;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    dnn_pointers pointers = {
        .at =
            {[CONV_INPUT] = a->x[0], [CONV_WEIGHTS] = cuda_weights(self, a), [CONV_OUTPUT] = a->y},
        .workspace = a->workspace};
    take_bias((conv_plan *)self, a, &pointers);
    return run(self, CONV_FORWARD, cuda_stream(a->stream), &pointers, error);
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    dnn_pointers pointers = {.at = {[CONV_INPUT] = a->dx[0],
                                    [CONV_WEIGHTS] = cuda_weights(self, a),
                                    [CONV_OUTPUT] = a->dy},
                             .workspace = a->workspace};
    return run(self, CONV_BACKWARD_DATA, cuda_stream(a->stream), &pointers, error);
}

/* To where it is left, or to the flat array, which one in runs reaches by way of the workspace. */
static int weights_gradient(plan *base, const op_arguments *a, ls_error *error) {
    conv_plan *self = (conv_plan *)base;
    bool on_its_way = !a->left[0] && self->padded_bytes > 0;
    void *to = a->left[0]   ? a->left[0]
               : on_its_way ? (char *)a->workspace + padded_offset(self)
                            : (void *)a->gradients[0];
    dnn_pointers pointers = {
        .at = {[CONV_INPUT] = a->x[0], [CONV_WEIGHTS] = to, [CONV_OUTPUT] = a->dy},
        .workspace = a->workspace,
        .low = to == a->gradients[0] ? 0 : 1u << CONV_WEIGHTS};
    LS_TRY(run(base, CONV_BACKWARD_WEIGHTS, cuda_stream(a->stream), &pointers, error));
    if (on_its_way)
        CUDA_TRY(kernel_out_of_runs(cuda_stream(a->stream), self->weights, self->runs.length,
                                    self->runs.stride, self->shape.type, to, a->gradients[0]),
                 "a gradient of padded weights");
    return LS_OK;
}

static int backward_parameters(plan *base, const op_arguments *a, ls_error *error) {
    conv_plan *self = (conv_plan *)base;
    const conv2d_shape *shape = &self->shape;
    LS_TRY(weights_gradient(base, a, error));
    if (shape->no_bias || !a->gradients[1])
        return LS_OK;
    CUDA_TRY(kernel_column_sums(cuda_stream(a->stream), device_of(self)->multiprocessors,
                                shape->type, a->dy, output_rows(shape), shape->out_channels,
                                a->gradients[1], a->workspace),
             "a bias's gradient");
    return LS_OK;
}

const op cuda_conv2d = {
    .kind = &op_conv2d,
    .plan_bytes = sizeof(conv_plan),
    .prepare = prepare,
    .release = release,
    .describe = describe,
    .pack = pack,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
