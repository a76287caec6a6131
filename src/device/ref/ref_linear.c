/* y = x * weights^T + bias, and its three gradients. */
#include "device/ref/ref.h"

int ref_linear_prepare(device *self, const linear_shape *shape, const plan *like, plan **out,
                       ls_error *error) {
    (void)self, (void)like;
    LS_TRY(ref_check_type("linear", shape->type, error));
    return ref_plan_new(&(ref_plan){.op = REF_LINEAR, .linear = *shape}, out, error);
}

int ref_linear_forward(plan *plan, device_stream *stream, const void *x, const float *weights,
                       const void *packed, const float *bias, void *y, void *workspace,
                       ls_error *error) {
    (void)stream, (void)packed, (void)workspace, (void)error;
    const linear_shape *shape = &ref_plan_of(plan)->linear;
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    for (size_t n = 0; n < (size_t)shape->n; n++)
        for (size_t o = 0; o < out; o++) {
            double sum = (double)bias[o];
            for (size_t i = 0; i < in; i++)
                sum += ref_load(shape->type, x, n * in + i) *
                       ref_weight(shape->type, weights[o * in + i]);
            if (shape->relu && sum < 0)
                sum = 0;
            ref_store(shape->type, y, n * out + o, sum);
        }
    return LS_OK;
}

int ref_linear_backward_data(plan *plan, device_stream *stream, const void *dy,
                             const float *weights, const void *packed, void *dx, void *workspace,
                             ls_error *error) {
    (void)stream, (void)packed, (void)workspace, (void)error;
    const linear_shape *shape = &ref_plan_of(plan)->linear;
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    for (size_t n = 0; n < (size_t)shape->n; n++)
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t o = 0; o < out; o++)
                sum += ref_load(shape->type, dy, n * out + o) *
                       ref_weight(shape->type, weights[o * in + i]);
            ref_store(shape->type, dx, n * in + i, sum);
        }
    return LS_OK;
}

int ref_linear_backward_weights(plan *plan, device_stream *stream, const void *x, const void *dy,
                                float *dweights, float *dbias, void *workspace, ls_error *error) {
    (void)stream, (void)workspace, (void)error;
    const linear_shape *shape = &ref_plan_of(plan)->linear;
    size_t in = (size_t)shape->in_features, out = (size_t)shape->out_features;
    for (size_t o = 0; o < out; o++) {
        double bias_sum = 0;
        for (size_t n = 0; n < (size_t)shape->n; n++)
            bias_sum += ref_load(shape->type, dy, n * out + o);
        dbias[o] = (float)bias_sum;
        for (size_t i = 0; i < in; i++) {
            double sum = 0;
            for (size_t n = 0; n < (size_t)shape->n; n++)
                sum +=
                    ref_load(shape->type, dy, n * out + o) * ref_load(shape->type, x, n * in + i);
            dweights[o * in + i] = (float)sum;
        }
    }
    return LS_OK;
}
