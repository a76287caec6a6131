/* Batch normalisation on the cuda device, with its join and its ReLU: checks, and the launches. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"
#include "device/kinds/batchnorm2d.h"

typedef struct norm_plan {
    plan base;
    batchnorm2d_shape shape;
} norm_plan;

static norm_arguments arguments_of(const batchnorm2d_shape *shape) {
    return (norm_arguments){.rows = (size_t)shape->n * (size_t)shape->height * (size_t)shape->width,
                            .channels = shape->channels,
                            .relu = shape->activation == ACTIVATION_RELU,
                            .epsilon = shape->epsilon,
                            .momentum = shape->momentum};
}

static int check(const plan *self, const batchnorm2d_shape *shape, ls_error *error) {
    norm_arguments arguments = arguments_of(shape);
    LS_TRY(cuda_check_type("batchnorm2d", shape->type, error));
    LS_TRY(plan_refuse_activation(self, shape->activation, error));
    if (shape->layout != LAYOUT_NHWC)
        return ls_fail(error, LS_FAILED, "cuda batchnorm2d: expected channels-last activations");
    if (!kernel_norm_fits(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda batchnorm2d: [%d, %d, %d, %d] is too large for one call; give a "
                       "smaller batch",
                       shape->n, shape->height, shape->width, shape->channels);
    return LS_OK;
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const batchnorm2d_shape *shape = wanted;
    LS_TRY(check(self, shape, error));
    ((norm_plan *)self)->shape = *shape;
    norm_arguments arguments = arguments_of(shape);
    self->saved_bytes = kernel_norm_state_bytes(shape->channels);
    plan_need_workspace(self, self->saved_bytes); /* an evaluation's state */
    plan_need_workspace(self,
                        kernel_norm_workspace(((const cuda_device *)self->device)->multiprocessors,
                                              shape->type, &arguments));
    text_add(&self->description, "kernels, %s", dtype_name(shape->type));
    return LS_OK;
}

static const batchnorm2d_shape *enter(const plan *self) {
    cuda_enter_plan(self);
    return &((const norm_plan *)self)->shape;
}

/* This rank's sums become all ranks'. */
static int add_up(const batchnorm2d_shape *shape, const op_sums *with, ls_error *error) {
    return with->add_up(with->context, batchnorm2d_sums(shape->channels), error);
}

static int find_statistics(const plan *self, const op_arguments *a, const norm_buffers *buffers,
                           float *state, ls_error *error) {
    const batchnorm2d_shape *shape = enter(self);
    const cuda_device *cuda = (const cuda_device *)self->device;
    cudaStream_t stream = cuda_stream(a->stream);
    norm_arguments arguments = arguments_of(shape);
    arguments.totals = a->sums ? a->sums->values : NULL;
    CUDA_TRY(kernel_norm_statistics(stream, cuda->multiprocessors, shape->type, &arguments, buffers,
                                    a->x[0], state, a->workspace, cuda->scratch),
             "batchnorm2d statistics");
    if (!a->sums)
        return LS_OK;
    LS_TRY(add_up(shape, a->sums, error));
    CUDA_TRY(kernel_norm_all_statistics(stream, &arguments, buffers, state),
             "batchnorm2d statistics of all ranks");
    return LS_OK;
}

static int make_state(const plan *self, const op_arguments *a, float *state, ls_error *error) {
    norm_buffers buffers = {a->parameters[0], a->parameters[1], a->buffers[0], a->buffers[1]};
    norm_arguments arguments = arguments_of(enter(self));
    if (a->training)
        return find_statistics(self, a, &buffers, state, error);
    CUDA_TRY(kernel_norm_running(cuda_stream(a->stream), &arguments, &buffers, state),
             "batchnorm2d running statistics");
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const batchnorm2d_shape *shape = enter(self);
    norm_arguments arguments = arguments_of(shape);
    float *state = a->training ? a->saved : a->workspace;
    if (!a->again)
        LS_TRY(make_state(self, a, state, error));
    CUDA_TRY(kernel_norm_forward(cuda_stream(a->stream), shape->type, &arguments, state, a->x[0],
                                 shape->joins ? a->x[1] : NULL, a->y),
             "batchnorm2d forward");
    return LS_OK;
}

/* A sum's mask is read from y; where nothing is joined it is made again of x. */
static norm_tensors tensors_of(const batchnorm2d_shape *shape, const op_arguments *a) {
    return (norm_tensors){.x = a->x[0], .y = shape->joins ? a->y : NULL, .dy = a->dy};
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    const batchnorm2d_shape *shape = enter(self);
    const cuda_device *cuda = (const cuda_device *)self->device;
    norm_arguments arguments = arguments_of(shape);
    norm_tensors tensors = tensors_of(shape, a);
    cudaStream_t stream = cuda_stream(a->stream);
    arguments.totals = a->sums ? a->sums->values : NULL;
    CUDA_TRY(kernel_norm_gradients(stream, cuda->multiprocessors, shape->type, &arguments, &tensors,
                                   a->saved, shape->joins ? a->dx[1] : NULL, a->gradients[0],
                                   a->gradients[1], a->workspace, cuda->scratch),
             "batchnorm2d sums of the gradient");
    if (!a->sums)
        return LS_OK;
    LS_TRY(add_up(shape, a->sums, error));
    CUDA_TRY(kernel_norm_all_gradients(stream, &arguments, a->saved),
             "batchnorm2d sums of the gradient of all ranks");
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    const batchnorm2d_shape *shape = enter(self);
    norm_arguments arguments = arguments_of(shape);
    norm_tensors tensors = tensors_of(shape, a);
    if (!a->dx[0])
        return LS_OK;
    if (shape->joins && a->dx[1]) { /* dy, masked: backward_parameters wrote it */
        tensors.dy = a->dx[1];
        arguments.relu = false;
    }
    CUDA_TRY(kernel_norm_backward(cuda_stream(a->stream), shape->type, &arguments, &tensors,
                                  a->saved, a->dx[0]),
             "batchnorm2d backward");
    return LS_OK;
}

const op cuda_batchnorm2d = {
    .kind = &op_batchnorm2d,
    .plan_bytes = sizeof(norm_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
