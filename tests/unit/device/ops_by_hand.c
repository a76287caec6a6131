/* Small cases with answers worked out by hand or by another formula: what ref itself is held to. */
#include "op_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static op_results conv2d(subject *s, const conv2d_shape *shape, const float *x,
                         const float *weights, const float *bias, size_t weight_count, dims out) {
    dims in = {shape->n, shape->height, shape->width, shape->in_channels};
    return op_try(
        s, &(op_trial){.kind = &op_conv2d,
                       .shape = shape,
                       .x = {trial_image(shape->in_layout, in, x)},
                       .parameters = {{.count = weight_count, .values = weights},
                                      {.count = (size_t)shape->out_channels, .values = bias}},
                       .dy = trial_image(shape->out_layout, out, NULL),
                       .evaluates = true});
}

/* 1 2 3      a 3x3 filter 0 1 0 / 1 0 0 / 0 0 10 (not symmetric: a flipped or transposed filter
 * 4 5 6      shows), padding 1, bias 100: y = 100 + above + left + 10 * below right */
static void conv2d_by_hand(subject *s) {
    static const float x[] = {1, 2, 3, 4, 5, 6}, bias[] = {100};
    static const float filter[] = {0, 1, 0, 1, 0, 0, 0, 0, 10};
    static const float want[] = {100 + 50, 100 + 1 + 60, 100 + 2,
                                 100 + 1,  100 + 2 + 4,  100 + 3 + 5};
    conv2d_shape shape = {.n = 1,
                          .height = 2,
                          .width = 3,
                          .in_channels = 1,
                          .out_channels = 1,
                          .kernel = 3,
                          .stride = 1,
                          .padding = 1,
                          .type = s->type,
                          .tf32 = s->precision == PRECISION_TF32,
                          .in_layout = subject_layout(s, LAYOUT_ROLE_INPUT, 1),
                          .out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 1)};
    op_results got = conv2d(s, &shape, x, filter, bias, 9, (dims){1, 2, 3, 1});
    expect_equal("y", got.y, want, 6);
    op_results_free(&got);
    case_done(s, "conv2d by hand");
}

/* The same sum the other way: every input value is spread over the outputs it reaches. */
static float *scatter(const conv2d_shape *p, const float *x, const float *weights,
                      const float *bias, dims out) {
    double *sums = calloc(dims_count(out), sizeof *sums);
    size_t at = 0;
    for (int n = 0; n < p->n; n++)
        for (int h = 0; h < p->height; h++)
            for (int w = 0; w < p->width; w++)
                for (int c = 0; c < p->in_channels; c++, at++)
                    for (int k = 0; k < p->out_channels; k++)
                        for (int oh = 0; oh < out.height; oh++)
                            for (int ow = 0; ow < out.width; ow++) {
                                int r = h + p->padding - oh * p->stride;
                                int s = w + p->padding - ow * p->stride;
                                if (r < 0 || r >= p->kernel || s < 0 || s >= p->kernel)
                                    continue;
                                int tap = ((k * p->kernel + r) * p->kernel + s) * p->in_channels;
                                int y = ((n * out.height + oh) * out.width + ow) * out.channels;
                                sums[y + k] += (double)x[at] * (double)weights[tap + c];
                            }
    float *y = floats(dims_count(out));
    for (size_t i = 0; i < dims_count(out); i++)
        y[i] = (float)(sums[i] + (double)bias[i % (size_t)out.channels]);
    free(sums);
    return y;
}

static void conv2d_scattered(subject *s) {
    conv2d_shape shape = {.n = 2,
                          .height = 5,
                          .width = 4,
                          .in_channels = 5,
                          .out_channels = 7,
                          .kernel = 3,
                          .stride = 2,
                          .padding = 1,
                          .type = s->type,
                          .tf32 = s->precision == PRECISION_TF32,
                          .in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 5),
                          .out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 7)};
    dims out = {2, 3, 2, 7};
    float *x = random_values(s, 2 * 5 * 4 * 5, 9000, -1, 1);
    float *weights = random_values(s, 7 * 9 * 5, 9001, -1, 1);
    /* Rounded, since a device may hold it in the activations' type. */
    float *bias = random_values(s, 7, 9002, -1, 1);
    float *want = scatter(&shape, x, weights, bias, out);
    op_results got = conv2d(s, &shape, x, weights, bias, 7 * 9 * 5, out);
    expect_close_stored(s, "y", got.y, want, dims_count(out), sum_tolerance(45));
    free(x), free(weights), free(bias), free(want);
    op_results_free(&got);
    case_done(s, "conv2d against a scattered sum");
}

static void linear_by_hand(subject *s) {
    static const float x[] = {1, 2, 3}, weights[] = {1, 0, -1, 10, 100, 1000}, bias[] = {0.5f, 7};
    static const float dy[] = {1, 2}, want_y[] = {0 /* relu of -1.5 */, 3217};
    static const float want_dx[] = {21, 200, 1999}, want_dw[] = {1, 2, 3, 2, 4, 6};
    linear_shape shape = {.n = 1,
                          .in_features = 3,
                          .out_features = 2,
                          .type = s->type,
                          .tf32 = s->precision == PRECISION_TF32,
                          .activation = ACTIVATION_RELU,
                          .need_dx = true};
    op_results got = op_try(s, &(op_trial){.kind = &op_linear,
                                           .shape = &shape,
                                           .x = {{.count = 3, .values = x}},
                                           .parameters = {{.count = 6, .values = weights},
                                                          {.count = 2, .values = bias}},
                                           .dy = {.count = 2, .values = dy}});
    /* In bf16 3217 becomes 3216 and 1999 becomes 2000. */
    precision stored = s->type == DTYPE_F32 ? PRECISION_FP32 : s->precision;
    float *stored_y = rounded_copy(stored, want_y, 2),
          *stored_dx = rounded_copy(stored, want_dx, 3);
    expect_equal("y", got.y, stored_y, 2);
    expect_equal("dx", got.dx[0], stored_dx, 3);
    expect_equal("dweights", got.gradients[0], want_dw, 6);
    expect_equal("dbias", got.gradients[1], dy, 2);
    free(stored_y), free(stored_dx);
    op_results_free(&got);
    case_done(s, "linear by hand");
}

/* 5 rows of 3, window 2: the last row and the last column belong to no window. In the first window
 * the 4 stands twice: the first, in row-major order, wins. The second's largest is zero. */
static void maxpool2d_by_hand(subject *s, bool relu_input) {
    static const float x[] = {1, 4, 9, 4, 2, 9, 0, 0, 9, 0, 0, 9, 9, 9, 9};
    static const float dy[] = {10, 20}, want_y[] = {4, 0};
    float want_dx[15] = {[1] = 10, [6] = relu_input ? 0 : 20};
    maxpool2d_shape shape = {.n = 1,
                             .height = 5,
                             .width = 3,
                             .channels = 1,
                             .window = 2,
                             .type = s->type,
                             .in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 1),
                             .out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 1),
                             .relu_input = relu_input};
    op_results got =
        op_try(s, &(op_trial){.kind = &op_maxpool2d,
                              .shape = &shape,
                              .x = {trial_image(shape.in_layout, (dims){1, 5, 3, 1}, x)},
                              .dy = trial_image(shape.out_layout, (dims){1, 2, 1, 1}, dy)});
    expect_equal("y", got.y, want_y, 2);
    expect_equal("dx", got.dx[0], want_dx, 15);
    op_results_free(&got);
    case_done(s, "maxpool2d by hand%s", relu_input ? ", after relu" : "");
}

void test_by_hand(subject *s) {
    conv2d_by_hand(s);
    conv2d_scattered(s);
    linear_by_hand(s);
    maxpool2d_by_hand(s, false);
    maxpool2d_by_hand(s, true);
}

/* A precision that the device lacks is refused in one line that names it, and so is its type by
 * each op: never taken for another. */
static void refused(subject *s, precision wanted) {
    ls_error error = {0};
    plan *plan = NULL;
    const char *name = dtype_name(precision_type(wanted));
    expect(s->device->is->check_precision(s->device, wanted, &error) == LS_BAD_LAUNCH &&
               strstr(error.text, precision_name(wanted)) && strstr(error.text, s->name) &&
               strstr(error.text, "fp32") && !strchr(error.text, '\n'),
           "%s: '%s'", precision_name(wanted), error.text);
    if (wanted == PRECISION_TF32) /* its type is fp32 */
        return;
    conv2d_shape conv = {.n = 1,
                         .height = 4,
                         .width = 4,
                         .in_channels = 1,
                         .out_channels = 1,
                         .kernel = 3,
                         .stride = 1,
                         .padding = 1,
                         .type = precision_type(wanted)};
    linear_shape linear = {
        .n = 1, .in_features = 2, .out_features = 2, .type = precision_type(wanted)};
    error = (ls_error){0};
    expect(op_prepare(s->device, &op_conv2d, &conv, NULL, &plan, &error) != LS_OK &&
               strstr(error.text, name),
           "conv2d in %s: '%s'", name, error.text);
    error = (ls_error){0};
    expect(op_prepare(s->device, &op_linear, &linear, NULL, &plan, &error) != LS_OK &&
               strstr(error.text, name),
           "linear in %s: '%s'", name, error.text);
    error = (ls_error){0};
    expect(s->ops->relu_backward(s->device, s->stream, 0, precision_type(wanted), NULL, NULL,
                                 &error) != LS_OK &&
               strstr(error.text, name),
           "relu_backward in %s: '%s'", name, error.text);
}

void test_refusals(subject *s) {
    for (int each = 0; each < PRECISION_COUNT; each++)
        if (!subject_has(s->name, (precision)each))
            refused(s, (precision)each);
    case_done(s, "precisions that it lacks are refused");
}
