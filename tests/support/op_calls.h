/* Calls of ops for tests that name each pointer: of one with a weight and a bias, and of a pooling.
 */
#ifndef LOCKSTEP_TESTS_SUPPORT_OP_CALLS_H
#define LOCKSTEP_TESTS_SUPPORT_OP_CALLS_H

#include "device/op.h"

static inline int weighted_forward(plan *plan, device_stream *stream, const void *x,
                                   const float *weights, const void *packed, const float *bias,
                                   void *y, void *workspace, ls_error *error) {
    op_arguments arguments = {.stream = stream,
                              .x = {x},
                              .y = y,
                              .parameters = {weights, bias},
                              .packed = {packed},
                              .workspace = workspace,
                              .training = true};
    return plan->is->forward(plan, &arguments, error);
}

static inline int weighted_backward_inputs(plan *plan, device_stream *stream, const void *dy,
                                           const float *weights, const void *packed, void *dx,
                                           void *workspace, ls_error *error) {
    op_arguments arguments = {.stream = stream,
                              .dy = dy,
                              .dx = {dx},
                              .parameters = {weights},
                              .packed = {packed},
                              .workspace = workspace};
    return plan->is->backward_inputs(plan, &arguments, error);
}

static inline int weighted_backward_parameters(plan *plan, device_stream *stream, const void *x,
                                               const void *dy, float *dweights, float *dbias,
                                               void *workspace, ls_error *error) {
    op_arguments arguments = {.stream = stream,
                              .x = {x},
                              .dy = dy,
                              .gradients = {dweights, dbias},
                              .workspace = workspace};
    return plan->is->backward_parameters(plan, &arguments, error);
}

static inline int pooled_forward(plan *plan, device_stream *stream, const void *x, void *y,
                                 void *saved, ls_error *error) {
    op_arguments arguments = {.stream = stream, .x = {x}, .y = y, .saved = saved, .training = true};
    return plan->is->forward(plan, &arguments, error);
}

static inline int pooled_backward(plan *plan, device_stream *stream, const void *dy, const void *y,
                                  const void *saved, void *dx, ls_error *error) {
    op_arguments arguments = {
        .stream = stream, .dy = dy, .y = (void *)y, .saved = (void *)saved, .dx = {dx}};
    return plan->is->backward_inputs(plan, &arguments, error);
}

/* A plan of the reference, on a device that is not opened. */
static inline int ref_prepare(const op_kind *kind, const void *shape, plan **out, ls_error *error) {
    extern const device_interface device_ref;
    static device ref = {.facts = {.host_addressable = true}};
    ref.is = &device_ref;
    return op_prepare(&ref, kind, shape, NULL, out, error);
}

static inline activation relu_where(bool wanted) {
    return wanted ? ACTIVATION_RELU : ACTIVATION_NONE;
}

#endif
