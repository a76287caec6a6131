/* Linear layers: by products of our own where these serve (product.h for a batch of few rows,
 * tall.h for the tokens of one) and the CPU has no tiles (AMX), which only oneDNN uses; else
 * forward by oneDNN's inner product and backward by its matrix product, which has kernels for plain
 * matrices where the inner product's backward has none. In fp32 on the canonical weights as they
 * are; in bf16 on a copy that is these, rounded. Blocked weights would win at the CNN's fc1 (64 x
 * 8192 x 512) in bf16 0.5 ms in forward and backward, and cost more than that to refresh each step:
 * the optimizer's pass goes through memory in order, and blocks do not. A GELU and its derivative
 * are passes of their own over what is saved. */
#include "device/cpu/cpu.h"
#include "device/cpu/product.h"
#include "device/cpu/tall.h"

#ifdef __x86_64__
#include <cpuid.h>
#endif

typedef struct linear_plan {
    plan base;
    linear_shape shape;
    onednn_call forward, backward_data, backward_weights;
    bool by_product;                          /* all of it by product.h */
    bool by_tall;                             /* all of it by tall.h */
    bool data_by_product, weights_by_product; /* backward by oneDNN's matrix product */
} linear_plan;

static cpu_device *device_of(const linear_plan *self) {
    return (cpu_device *)self->base.device;
}

typedef struct linear_descs {
    onednn_desc x, y, y_transposed, bias, weights, gradient;
} linear_descs;

static linear_descs describe(const linear_shape *shape) {
    int out = shape->out_features, in = shape->in_features;
    return (linear_descs){.x = onednn_matrix(shape->type, shape->n, in),
                          .y = onednn_matrix(shape->type, shape->n, out),
                          .y_transposed = onednn_matrix_transposed(shape->type, out, shape->n),
                          .bias = onednn_vector(out),
                          .weights = onednn_matrix(shape->type, out, in),
                          .gradient = onednn_matrix(DTYPE_F32, out, in)};
}

static void forget(const linear_descs *descs) {
    onednn_desc made[] = {descs->x,    descs->y,       descs->y_transposed,
                          descs->bias, descs->weights, descs->gradient};
    for (size_t index = 0; index < sizeof made / sizeof made[0]; index++)
        onednn_desc_release(made[index]);
}

/* Whether a product with sums of this length may be used. oneDNN 2.6's AMX matrix product dies of
 * SIGILL on two threads or more where the length of its sums leaves a tail of 31 (63, 95) and its
 * rows a tail too: it runs another tile shape than the thread set up. Sums of whole tiles were
 * tried with every tail of the other sizes. */
static bool onednn_product_serves(dtype type, int length) {
    enum { TILE = 32 };
    return type == DTYPE_F32 || length % TILE == 0;
}

/* Whether products of pairs of bf16 (AVX512-BF16), as oneDNN makes them without tiles, are quicker
 * than products of fp32. Intel's processors that have tiles take 2.2 times as long for the same
 * number of terms (79 and 172 GFLOP/s of a core, Emerald Rapids), and a virtual machine or a limit
 * in the environment may hide the tiles: such a processor is told by AVX512-FP16. */
static bool quick_pairs(void) {
#ifdef __x86_64__
    enum { FEATURES = 7, FP16 = 1 << 23 };
    unsigned a, b, c, d = 0;
    bool half = __get_cpuid_count(FEATURES, 0, &a, &b, &c, &d) && d & FP16;
    return !(__builtin_cpu_is("intel") && half);
#else
    return true;
#endif
}

/* Rows beyond product.h's, where the library is not quicker. */
static bool goes_by_tall(const linear_shape *shape) {
    bool library = shape->type == DTYPE_BF16 && (onednn_has_tiles() || quick_pairs());
    return !library && cpu_tall_serves(shape);
}

/* dx = dy * weights. */
static int prepare_backward_data(linear_plan *self, const linear_descs *descs, ls_error *error) {
    onednn *engine = &device_of(self)->engine;
    const linear_shape *shape = &self->shape;
    if (!shape->need_dx)
        return LS_OK;
    self->data_by_product = onednn_product_serves(shape->type, shape->out_features);
    if (self->data_by_product)
        return onednn_product(engine, descs->y, descs->weights, descs->x, &self->backward_data,
                              error);
    return onednn_linear_backward_data(engine, descs->x, descs->weights, descs->y, &self->forward,
                                       &self->backward_data, error);
}

/* dweights = transposed dy * x. */
static int prepare_backward_weights(linear_plan *self, const linear_descs *descs, ls_error *error) {
    onednn *engine = &device_of(self)->engine;
    const linear_shape *shape = &self->shape;
    self->weights_by_product = onednn_product_serves(shape->type, shape->n);
    if (!self->weights_by_product)
        return onednn_linear_backward_weights(engine, descs->x, descs->gradient, descs->bias,
                                              descs->y, &self->forward, &self->backward_weights,
                                              error);
    return onednn_product(engine, descs->y_transposed, descs->x, descs->gradient,
                          &self->backward_weights, error);
}

static int prepare_calls(linear_plan *self, const linear_descs *descs, ls_error *error) {
    LS_TRY(onednn_linear_forward(&device_of(self)->engine, descs->x, descs->weights, descs->bias,
                                 descs->y, self->shape.activation == ACTIVATION_RELU,
                                 &self->forward, error));
    LS_TRY(prepare_backward_data(self, descs, error));
    return prepare_backward_weights(self, descs, error);
}

static void describe_product(linear_plan *self) {
    int threads = device_of(self)->threads;
    const char *name = self->by_tall ? "tall product" : "product";
    plan_need_workspace(&self->base, self->by_tall
                                         ? cpu_tall_workspace_bytes(&self->shape, threads)
                                         : cpu_product_workspace_bytes(&self->shape, threads));
    text_add(&self->base.description, "%s / %s / %s", name, self->shape.need_dx ? name : "-", name);
}

static int prepare_by_library(linear_plan *self, ls_error *error) {
    linear_descs descs = describe(&self->shape);
    int status = prepare_calls(self, &descs, error);
    forget(&descs);
    if (status != LS_OK)
        return status;
    plan_need_workspace(&self->base, self->forward.scratchpad_bytes);
    plan_need_workspace(&self->base, self->backward_data.scratchpad_bytes);
    plan_need_workspace(&self->base, self->backward_weights.scratchpad_bytes);
    text_add(&self->base.description, "%s / %s / %s", self->forward.implementation,
             self->shape.need_dx ? self->backward_data.implementation : "-",
             self->backward_weights.implementation);
    return LS_OK;
}

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like; /* weights lie the same way for every n */
    linear_plan *self = (linear_plan *)base;
    const linear_shape *shape = wanted;
    self->shape = *shape;
    LS_TRY(cpu_check_type("linear", shape->type, error));
    if (activation_is_gelu(shape->activation)) {
        base->saved_bytes = linear_outputs(shape) * dtype_bytes(shape->type);
        base->again = AGAIN_FROM_SAVED;
    }
    bool rounded = shape->type == DTYPE_BF16;
    if (rounded)
        base->packed[0] = (op_packed){.bytes = (size_t)shape->out_features *
                                               (size_t)shape->in_features * sizeof(uint16_t),
                                      .in_order = true,
                                      .type = DTYPE_BF16};
    self->by_product = cpu_product_serves(shape) && !(rounded && onednn_has_tiles());
    self->by_tall = !self->by_product && goes_by_tall(shape);
    if (!self->by_product && !self->by_tall)
        return prepare_by_library(self, error);
    describe_product(self);
    return LS_OK;
}

static void release(plan *base) {
    linear_plan *self = (linear_plan *)base;
    onednn_call_release(&self->forward);
    onednn_call_release(&self->backward_data);
    onednn_call_release(&self->backward_weights);
}

static const void *weights_of(const linear_plan *self, const op_arguments *a) {
    return self->base.packed[0].bytes ? a->packed[0] : a->parameters[0];
}

/* Its product, but for a GELU. */
static int multiply(linear_plan *self, const op_arguments *a, void *y, ls_error *error) {
    if (self->by_product) {
        cpu_product_forward(&self->shape, a->x[0], weights_of(self, a), a->parameters[1], y,
                            a->workspace);
        return LS_OK;
    }
    if (self->by_tall) {
        cpu_tall_forward(&self->shape, a->x[0], weights_of(self, a), a->parameters[1], y,
                         a->workspace);
        return LS_OK;
    }
    onednn_argument arguments[] = {{DNNL_ARG_SRC, a->x[0]},
                                   {DNNL_ARG_WEIGHTS, weights_of(self, a)},
                                   {DNNL_ARG_BIAS, a->parameters[1]},
                                   {DNNL_ARG_DST, y}};
    return onednn_call_run(&self->forward, arguments, 4, a->workspace, error);
}

static bool has_gelu(const linear_plan *self) {
    return activation_is_gelu(self->shape.activation);
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    linear_plan *self = (linear_plan *)base;
    LS_TRY(multiply(self, a, has_gelu(self) ? a->saved : a->y, error));
    if (has_gelu(self))
        cpu_gelu(self->shape.activation, self->shape.type, linear_outputs(&self->shape), a->saved,
                 a->y);
    return LS_OK;
}

static int again(plan *base, const op_arguments *a, ls_error *error) {
    const linear_plan *self = (const linear_plan *)base;
    (void)error;
    cpu_gelu(self->shape.activation, self->shape.type, linear_outputs(&self->shape), a->saved,
             a->y);
    return LS_OK;
}

/* The gradient of the product and bias. */
static const void *delta_of(const linear_plan *self, const op_arguments *a) {
    return has_gelu(self) ? a->saved : a->dy;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    linear_plan *self = (linear_plan *)base;
    if (self->by_product) {
        cpu_product_backward_data(&self->shape, delta_of(self, a), weights_of(self, a), a->dx[0],
                                  a->workspace);
        return LS_OK;
    }
    if (self->by_tall) {
        cpu_tall_backward_data(&self->shape, delta_of(self, a), weights_of(self, a), a->dx[0],
                               a->workspace);
        return LS_OK;
    }
    bool product = self->data_by_product;
    onednn_argument arguments[] = {{product ? DNNL_ARG_SRC : DNNL_ARG_DIFF_DST, delta_of(self, a)},
                                   {DNNL_ARG_WEIGHTS, weights_of(self, a)},
                                   {product ? DNNL_ARG_DST : DNNL_ARG_DIFF_SRC, a->dx[0]}};
    return onednn_call_run(&self->backward_data, arguments, 3, a->workspace, error);
}

static int backward_parameters(plan *base, const op_arguments *a, ls_error *error) {
    linear_plan *self = (linear_plan *)base;
    if (has_gelu(self))
        cpu_gelu_backward(self->shape.activation, self->shape.type, linear_outputs(&self->shape),
                          a->dy, a->saved);
    const void *dy = delta_of(self, a);
    if (self->by_product || self->weights_by_product)
        cpu_sum_rows(self->shape.type, dy, a->gradients[1], (size_t)self->shape.n,
                     (size_t)self->shape.out_features);
    if (self->by_product) {
        cpu_product_backward_weights(&self->shape, a->x[0], dy, a->gradients[0], a->workspace);
        return LS_OK;
    }
    if (self->by_tall) {
        cpu_tall_backward_weights(&self->shape, a->x[0], dy, a->gradients[0], a->gradients[1],
                                  a->workspace);
        return LS_OK;
    }
    if (self->weights_by_product) {
        onednn_argument product[] = {
            {DNNL_ARG_SRC, dy}, {DNNL_ARG_WEIGHTS, a->x[0]}, {DNNL_ARG_DST, a->gradients[0]}};
        return onednn_call_run(&self->backward_weights, product, 3, a->workspace, error);
    }
    onednn_argument arguments[] = {{DNNL_ARG_SRC, a->x[0]},
                                   {DNNL_ARG_DIFF_DST, dy},
                                   {DNNL_ARG_DIFF_WEIGHTS, a->gradients[0]},
                                   {DNNL_ARG_DIFF_BIAS, a->gradients[1]}};
    return onednn_call_run(&self->backward_weights, arguments, 4, a->workspace, error);
}

const op cpu_linear = {
    .kind = &op_linear,
    .plan_bytes = sizeof(linear_plan),
    .prepare = prepare,
    .release = release,
    .forward = forward,
    .again = again,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
