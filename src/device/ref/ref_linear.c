/* y = x * weights^T + bias, and its three gradients. */
#include "device/kinds/linear.h"
#include "device/ref/ref.h"

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
    LS_TRY(plan_refuse_activation(self, shape->activation, error));
    ((ref_linear_plan *)self)->shape = *shape;
    text_add(&self->description, "ref");
    return LS_OK;
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
            if (shape->activation == ACTIVATION_RELU && sum < 0)
                sum = 0;
            ref_store(shape->type, a->y, n * out + o, sum);
        }
    return LS_OK;
}

static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const linear_shape *shape = shape_of(self);
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    for (size_t n = 0; n < (size_t)shape->n; n++)
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t o = 0; o < out; o++)
                sum += ref_load(shape->type, a->dy, n * out + o) *
                       ref_weight(shape->type, a->parameters[0][o * in + i]);
            ref_store(shape->type, a->dx[0], n * in + i, sum);
        }
    return LS_OK;
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const linear_shape *shape = shape_of(self);
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    for (size_t o = 0; o < out; o++) {
        double bias_sum = 0;
        for (size_t n = 0; n < (size_t)shape->n; n++)
            bias_sum += ref_load(shape->type, a->dy, n * out + o);
        a->gradients[1][o] = (float)bias_sum;
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t n = 0; n < (size_t)shape->n; n++)
                sum += ref_load(shape->type, a->dy, n * out + o) *
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
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
