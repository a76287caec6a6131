/* y = x * weights^T + bias, and its three gradients. With a GELU `saved` holds what it was applied
 * to, and from backward_parameters on the gradient of that. */
#include "device/kinds/linear.h"
#include "device/ref/ref.h"

#include <math.h>

const op_kind op_linear = {"linear"};

typedef struct ref_linear_plan {
    plan base;
    linear_shape shape;
} ref_linear_plan;

static const linear_shape *shape_of(const plan *self) {
    return &((const ref_linear_plan *)self)->shape;
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const linear_shape *shape = wanted;
    LS_TRY(ref_check_type("linear", shape->type, error));
    ((ref_linear_plan *)self)->shape = *shape;
    if (activation_is_gelu(shape->activation)) {
        self->saved_bytes = linear_outputs(shape) * dtype_bytes(shape->type);
        self->again = AGAIN_FROM_SAVED;
    }
    text_add(&self->description, "ref");
    return LS_OK;
}

/* The normal distribution up to z, and its density there. */
static double normal_up_to(double z) {
    return 0.5 * erfc(-z / sqrt(2));
}

static double normal_density(double z) {
    return exp(-z * z / 2) / sqrt(2 * acos(-1));
}

/* What gelu-tanh has in the first one's place, and its derivative. */
static double tanh_up_to(double z) {
    return (1 + tanh(sqrt(2 / acos(-1)) * (z + 0.044715 * z * z * z))) / 2;
}

static double tanh_density(double z) {
    double part = tanh_up_to(z);
    return 2 * part * (1 - part) * sqrt(2 / acos(-1)) * (1 + 3 * 0.044715 * z * z);
}

static double slope(activation form, double z) {
    return form == ACTIVATION_GELU ? normal_up_to(z) + z * normal_density(z)
                                   : tanh_up_to(z) + z * tanh_density(z);
}

static double gelu(activation form, double z) {
    return form == ACTIVATION_GELU ? z * normal_up_to(z) : z * tanh_up_to(z);
}

/* z, as the type holds it, is what a GELU is applied to. */
static double activated(const linear_shape *shape, const op_arguments *a, size_t index, double z) {
    if (shape->activation == ACTIVATION_RELU)
        return z < 0 ? 0 : z;
    if (!activation_is_gelu(shape->activation))
        return z;
    ref_store(shape->type, a->saved, index, z);
    z = ref_load(shape->type, a->saved, index);
    return gelu(shape->activation, z);
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const linear_shape *shape = shape_of(self);
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    for (size_t n = 0; n < (size_t)shape->n; n++)
        for (size_t o = 0; o < out; o++) {
            double sum = (double)a->parameters[1][o];
            for (size_t i = 0; i < in; i++)
                sum += ref_load(shape->type, a->x[0], n * in + i) *
                       ref_weight(shape->type, a->parameters[0][o * in + i]);
            ref_store(shape->type, a->y, n * out + o, activated(shape, a, n * out + o, sum));
        }
    return LS_OK;
}

static int again(plan *self, const op_arguments *a, ls_error *error) {
    const linear_shape *shape = shape_of(self);
    (void)error;
    for (size_t index = 0; index < linear_outputs(shape); index++) {
        double z = ref_load(shape->type, a->saved, index);
        ref_store(shape->type, a->y, index, gelu(shape->activation, z));
    }
    return LS_OK;
}

/* The gradient of what the activation is applied to. */
static const void *delta_of(const linear_shape *shape, const op_arguments *a) {
    return activation_is_gelu(shape->activation) ? a->saved : a->dy;
}

static void make_delta(const linear_shape *shape, const op_arguments *a) {
    for (size_t i = 0; i < linear_outputs(shape); i++) {
        double z = ref_load(shape->type, a->saved, i);
        ref_store(shape->type, a->saved, i,
                  slope(shape->activation, z) * ref_load(shape->type, a->dy, i));
    }
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const linear_shape *shape = shape_of(self);
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    const void *delta = delta_of(shape, a);
    for (size_t n = 0; n < (size_t)shape->n; n++)
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t o = 0; o < out; o++)
                sum += ref_load(shape->type, delta, n * out + o) *
                       ref_weight(shape->type, a->parameters[0][o * in + i]);
            ref_store(shape->type, a->dx[0], n * in + i, sum);
        }
    return LS_OK;
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const linear_shape *shape = shape_of(self);
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    const void *delta = delta_of(shape, a);
    if (activation_is_gelu(shape->activation))
        make_delta(shape, a);
    for (size_t o = 0; o < out; o++) {
        double bias_sum = 0;
        for (size_t n = 0; n < (size_t)shape->n; n++)
            bias_sum += ref_load(shape->type, delta, n * out + o);
        a->gradients[1][o] = (float)bias_sum;
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t n = 0; n < (size_t)shape->n; n++)
                sum += ref_load(shape->type, delta, n * out + o) *
                       ref_load(shape->type, a->x[0], n * in + i);
            a->gradients[0][o * in + i] = (float)sum;
        }
    }
    return LS_OK;
}

const op ref_linear = {
    .kind = &op_linear,
    .plan_bytes = sizeof(ref_linear_plan),
    .prepare = prepare,
    .forward = forward,
    .again = again,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
