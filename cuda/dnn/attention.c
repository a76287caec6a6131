#include "cuda/dnn/attention.h"
#include "cuda/choices/choices.h"
#include "cuda/dnn/attention_graph.h"
#include "cuda/dnn/dnn_way.h"
#include "cuda/kernels/kernels.h"

typedef struct attention_plan {
    plan base;
    attention_shape shape;
    attention_problem problems[ATTENTION_DIRECTIONS];
    dnn_way ways[ATTENTION_DIRECTIONS]; /* zeroed: our kernel's alone */
    size_t sums_at;                     /* of the workspace: backward's sums */
} attention_plan;

static attention_arguments arguments_of(const attention_shape *shape) {
    return (attention_arguments){shape->n, shape->tokens, shape->heads, shape->head_dim};
}

/* Of a float for each row of each head. */
static size_t statistics_bytes(const attention_shape *shape) {
    return (size_t)shape->n * (size_t)shape->heads * (size_t)shape->tokens * sizeof(float);
}

/* The problems' kernel: a part of x or dx begins with its queries. */
static cudaError_t kernel(const dnn_problem *base, cudaStream_t stream,
                          const dnn_pointers *pointers) {
    const attention_problem *self = (const attention_problem *)base;
    attention_arguments arguments = arguments_of(&self->shape);
    const void *const *at = pointers->at;
    if (self->direction == ATTENTION_FORWARD)
        return kernel_attention_forward(stream, self->shape.type, &arguments, at[ATTENTION_QUERY],
                                        (void *)at[ATTENTION_OUTPUT],
                                        (float *)at[ATTENTION_STATISTICS]);
    return kernel_attention_backward(stream, self->shape.type, &arguments, at[ATTENTION_QUERY],
                                     at[ATTENTION_OUTPUT], at[ATTENTION_GRADIENT],
                                     at[ATTENTION_STATISTICS], (void *)at[ATTENTION_DQUERY]);
}

/* Whether cuDNN is asked. */
static bool is_dnns(const attention_shape *shape, attention_direction direction) {
    return shape->type != DTYPE_F32 && shape->head_dim % 8 == 0 &&
           (direction == ATTENTION_FORWARD || shape->tokens <= ATTENTION_DNN_TOKENS);
}

static void release(plan *base) {
    attention_plan *self = (attention_plan *)base;
    cuda_enter_plan(base);
    for (int direction = 0; direction < ATTENTION_DIRECTIONS; direction++)
        dnn_way_release(&self->ways[direction]);
}

static void describe(plan *base) {
    attention_plan *self = (attention_plan *)base;
    text_buffer *to = &base->description;
    for (int direction = 0; direction < ATTENTION_DIRECTIONS; direction++)
        if (self->ways[direction].problem)
            dnn_way_describe(&self->ways[direction], to);
        else
            text_add(to, "%sour %s kernel", to->length ? "; " : "",
                     attention_direction_name((attention_direction)direction));
    const char *note = choices_note(((cuda_device *)base->device)->choices);
    text_add(to, "%s%s", note[0] ? "; " : "", note);
}

static int prepare_direction(attention_plan *self, attention_direction direction, ls_error *error) {
    attention_problem *problem = &self->problems[direction];
    dnn_way *way = &self->ways[direction];
    LS_TRY(attention_problem_init(&self->shape, direction, problem, error));
    problem->base.kernel = kernel;
    if (!is_dnns(&self->shape, direction))
        return LS_OK;
    LS_TRY(dnn_way_prepare((cuda_device *)self->base.device, &problem->base, way, error));
    plan_need_workspace(&self->base, way->run.workspace_bytes);
    return LS_OK;
}

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    attention_plan *self = (attention_plan *)base;
    const attention_shape *shape = &self->shape;
    self->shape = *(const attention_shape *)wanted;
    attention_arguments arguments = arguments_of(shape);
    cuda_enter_plan(base);
    if (!kernel_attention_fits(&arguments))
        return ls_fail(error, LS_FAILED,
                       "cuda attention: expected heads of at most 128 and a batch of a grid's "
                       "size, found [%d, %d, %d, %d]",
                       shape->n, shape->tokens, shape->heads, shape->head_dim);
    base->saved_bytes = statistics_bytes(shape);
    for (int direction = 0; direction < ATTENTION_DIRECTIONS; direction++)
        LS_TRY(prepare_direction(self, (attention_direction)direction, error));
    if (self->ways[ATTENTION_BACKWARD].problem) {
        self->sums_at = (base->workspace_bytes + 255) / 256 * 256;
        plan_need_workspace(base, self->sums_at + statistics_bytes(shape));
    }
    return LS_OK;
}

/* A part of x or of dx: queries, keys, values. */
static const void *part_of(const attention_shape *shape, const void *from, int part) {
    size_t row = (size_t)shape->heads * (size_t)shape->head_dim;
    return (const char *)from + (size_t)part * row * dtype_bytes(shape->type);
}

static void take_parts(const attention_shape *shape, const op_arguments *a, dnn_pointers *out) {
    for (int part = 0; part < 3; part++)
        out->at[ATTENTION_QUERY + part] = part_of(shape, a->x[0], part);
    out->at[ATTENTION_OUTPUT] = a->y;
    out->at[ATTENTION_STATISTICS] = a->saved;
    out->workspace = a->workspace;
}

static int run(plan *base, attention_direction direction, const op_arguments *a,
               const dnn_pointers *pointers, ls_error *error) {
    attention_plan *self = (attention_plan *)base;
    const dnn_problem *problem = &self->problems[direction].base;
    cuda_device *device = cuda_enter_plan(base);
    if (self->ways[direction].problem)
        return dnn_way_run(&self->ways[direction], device, cuda_stream(a->stream), pointers, error);
    CUDA_TRY(kernel(problem, cuda_stream(a->stream), pointers), problem->key);
    return LS_OK;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    dnn_pointers pointers = {.workspace = NULL};
    take_parts(&((attention_plan *)self)->shape, a, &pointers);
    return run(self, ATTENTION_FORWARD, a, &pointers, error);
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    const attention_plan *self = (const attention_plan *)base;
    dnn_pointers pointers = {
        .at = {[ATTENTION_GRADIENT] = a->dy,
               [ATTENTION_SUMS] = a->workspace ? (char *)a->workspace + self->sums_at : NULL}};
    take_parts(&self->shape, a, &pointers);
    for (int part = 0; part < 3; part++)
        pointers.at[ATTENTION_DQUERY + part] = part_of(&self->shape, a->dx[0], part);
    return run(base, ATTENTION_BACKWARD, a, &pointers, error);
}

const op cuda_attention = {
    .kind = &op_attention,
    .plan_bytes = sizeof(attention_plan),
    .prepare = prepare,
    .release = release,
    .describe = describe,
    .forward = forward,
    .backward_inputs = backward_inputs,
};
