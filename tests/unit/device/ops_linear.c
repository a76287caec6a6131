/* Linear layers, forward and backward, against ref and against finite differences. */
#include "op_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct linear_values {
    float *x, *weights, *bias, *dy;
} linear_values;

static size_t inputs_of(const linear_shape *shape) {
    return (size_t)shape->n * (size_t)shape->in_features;
}
static size_t outputs_of(const linear_shape *shape) {
    return (size_t)shape->n * (size_t)shape->out_features;
}
static size_t weights_of(const linear_shape *shape) {
    return (size_t)shape->out_features * (size_t)shape->in_features;
}

/* Weights and biases as in ops_conv2d.c. */
static linear_values linear_random(const subject *s, const linear_shape *shape, uint64_t stream) {
    return (linear_values){.x = random_values(s, inputs_of(shape), stream * 4, -1, 1),
                           .weights = random_weights(s, weights_of(shape), stream * 4 + 1),
                           .bias =
                               random_values(s, (size_t)shape->out_features, stream * 4 + 2, -1, 1),
                           .dy = random_values(s, outputs_of(shape), stream * 4 + 3, -1, 1)};
}

static void values_free(linear_values *self) {
    free(self->x), free(self->weights), free(self->bias), free(self->dy);
}

/* Forward and backward by a plan, with weights packed by another one like it; NULL: one of the
 * shape. */
static op_results run_plan(subject *s, plan *plan, struct plan *packing, const linear_shape *shape,
                           const linear_values *in) {
    return op_try(
        s, &(op_trial){.kind = &op_linear,
                       .shape = shape,
                       .x = {{.count = inputs_of(shape), .values = in->x}},
                       .parameters = {{.count = weights_of(shape), .values = in->weights},
                                      {.count = (size_t)shape->out_features, .values = in->bias}},
                       .dy = {.count = outputs_of(shape), .values = in->dy},
                       .leaves = {!shape->need_dx},
                       .plan = plan,
                       .packing = packing});
}

static op_results run(subject *s, const linear_shape *shape, const linear_values *in) {
    return run_plan(s, NULL, NULL, shape, in);
}

/* What the subject should give: ref's results in fp32, with the weights rounded as the subject's
 * products take them. */
static op_results run_ref(const subject *s, subject *ref, const linear_shape *shape,
                          const linear_values *in) {
    linear_shape plain = *shape;
    linear_values rounded = *in;
    plain.type = DTYPE_F32;
    plain.tf32 = false;
    rounded.weights = rounded_copy(s->precision, in->weights, weights_of(shape));
    op_results out = run(ref, &plain, &rounded);
    free(rounded.weights);
    return out;
}

static void compare(const subject *s, const linear_shape *shape, const op_results *got,
                    const op_results *want) {
    expect_close_stored(s, "y", got->y, want->y, outputs_of(shape),
                        sum_tolerance((size_t)shape->in_features));
    if (shape->need_dx)
        expect_close_stored(s, "dx", got->dx[0], want->dx[0], inputs_of(shape),
                            sum_tolerance((size_t)shape->out_features));
    expect_close("dweights", got->gradients[0], want->gradients[0], weights_of(shape),
                 sum_tolerance((size_t)shape->n));
    expect_close("dbias", got->gradients[1], want->gradients[1], (size_t)shape->out_features,
                 sum_tolerance((size_t)shape->n));
}

static void one_shape(subject *s, subject *ref, const linear_shape *shape, uint64_t stream) {
    linear_values in = linear_random(s, shape, stream);
    op_results want = run_ref(s, ref, shape, &in), got = run(s, shape, &in);
    op_results again = run(s, shape, &in);
    compare(s, shape, &got, &want);
    expect(memcmp(got.y, again.y, outputs_of(shape) * sizeof(float)) == 0 &&
               memcmp(got.gradients[0], again.gradients[0], weights_of(shape) * sizeof(float)) == 0,
           "the second run has other bits than the first");
    op_results_free(&want), op_results_free(&got), op_results_free(&again), values_free(&in);
    case_done(s, "linear %dx%d->%d%s%s", shape->n, shape->in_features, shape->out_features,
              shape->activation ? " relu" : "", shape->need_dx ? "" : " (no dx)");
}

static void like_another(subject *s, subject *ref, int n) {
    ls_error error = {0};
    linear_shape shape = {.n = 64,
                          .in_features = 96,
                          .out_features = 33,
                          .type = s->type,
                          .tf32 = s->precision == PRECISION_TF32,
                          .need_dx = true};
    linear_shape other = shape;
    other.n = n;
    plan *first, *second;
    must(op_prepare(s->device, &op_linear, &shape, NULL, &first, &error), &error);
    must(op_prepare(s->device, &op_linear, &other, first, &second, &error), &error);
    linear_values in = linear_random(s, &other, 5900);
    op_results got = run_plan(s, second, first, &other, &in), want = run_ref(s, ref, &other, &in);
    compare(s, &other, &got, &want);
    op_results_free(&got), op_results_free(&want), values_free(&in);
    plan_release(second), plan_release(first);
    case_done(s, "linear: weights packed for n=64 serve n=%d", n);
}

/* Each row of x picks one weight: y is that weight as the products take it, to the bit. In tf32 a
 * device may round or not, so it is left out. */
static void weights_are_rounded(subject *s) {
    enum { IN = 32, OUT = 48 };
    if (s->precision == PRECISION_TF32)
        return;
    linear_shape shape = {.n = IN, .in_features = IN, .out_features = OUT, .type = s->type};
    linear_values in = linear_random(s, &shape, 5930);
    memset(in.x, 0, IN * IN * sizeof *in.x), memset(in.bias, 0, OUT * sizeof *in.bias);
    for (int i = 0; i < IN; i++)
        in.x[i * IN + i] = 1;
    op_results got = run(s, &shape, &in);
    float *want = floats(IN * OUT);
    for (int i = 0; i < IN * OUT; i++)
        want[i] = rounded_to(s->precision, in.weights[i % OUT * IN + i / OUT]);
    expect_equal("y", got.y, want, IN * OUT);
    free(want), op_results_free(&got), values_free(&in);
    case_done(s, "linear: each weight is rounded to nearest even");
}

/* cpu's own products make a sample's values the same way in a batch of any size and on any number
 * of threads; oneDNN's need not. */
static void fewer_rows(subject *s, const linear_shape *many, int rows) {
    ls_error error = {0};
    linear_shape few = *many;
    few.n = rows;
    plan *plan;
    must(op_prepare(s->device, &op_linear, &few, NULL, &plan, &error), &error);
    bool own = strncmp(plan_describe(plan), "product", strlen("product")) == 0 ||
               strncmp(plan_describe(plan), "tall product", strlen("tall product")) == 0;
    plan_release(plan);
    if (!own)
        return;
    linear_values in = linear_random(s, many, 5940);
    op_results all = run(s, many, &in), some = run(s, &few, &in);
    expect_equal("y", some.y, all.y, outputs_of(&few));
    expect_equal("dx", some.dx[0], all.dx[0], inputs_of(&few));
    op_results_free(&all), op_results_free(&some), values_free(&in);
    case_done(s, "linear: the first %d of %d samples have the bits of %d alone", rows, many->n,
              rows);
}

/* --- finite differences: loss = sum of g * y, y by the ref device */

typedef struct linear_loss {
    subject *ref;
    plan *plan;
    linear_shape shape;
    linear_values in; /* in.dy is g */
} linear_loss;

static double loss_of(void *context, uint64_t *signature) {
    linear_loss *self = context;
    linear_shape shape = self->shape;
    op_results out = run_plan(self->ref, self->plan, self->plan, &shape, &self->in);
    double loss = 0;
    for (size_t i = 0; i < outputs_of(&shape); i++)
        loss += (double)out.y[i] * (double)self->in.dy[i];
    *signature = shape.activation ? signs_of(out.y, outputs_of(&shape)) : 0;
    op_results_free(&out);
    return loss;
}

static void one_difference(subject *s, subject *ref, int n, int in, bool relu) {
    ls_error error = {0};
    linear_shape shape = {.n = n,
                          .in_features = in,
                          .out_features = 5,
                          .activation = relu_where(relu),
                          .need_dx = true};
    linear_loss loss = {.ref = ref, .shape = shape, .in = linear_random(s, &shape, 5950)};
    must(op_prepare(ref->device, &op_linear, &shape, NULL, &loss.plan, &error), &error);
    linear_values masked = loss.in;
    masked.dy = floats(outputs_of(&shape));
    op_results forward = run(s, &shape, &loss.in);
    for (size_t i = 0; i < outputs_of(&shape); i++)
        masked.dy[i] = relu && !(forward.y[i] > 0) ? 0 : loss.in.dy[i];
    op_results got = run(s, &shape, &masked);
    /* As for convolutions: piecewise linear, and what is left is y's rounding over 2 * step. */
    differences how = {.loss = loss_of,
                       .context = &loss,
                       .step = 0x1p-6f,
                       .stride = 1,
                       .tolerance = 0x1p-17 * (8 + in)};
    expect_gradient("dx", &how, loss.in.x, got.dx[0], inputs_of(&shape));
    expect_gradient("dweights", &how, loss.in.weights, got.gradients[0], weights_of(&shape));
    expect_gradient("dbias", &how, loss.in.bias, got.gradients[1], (size_t)shape.out_features);
    plan_release(loss.plan);
    free(masked.dy);
    op_results_free(&forward), op_results_free(&got), values_free(&loss.in);
    case_done(s, "linear %dx%d->5%s: finite differences", n, in, relu ? " relu" : "");
}

/* --- with a GELU, of many rows as tokens are */

static void one_gelu(subject *s, subject *ref, activation form, int n, int in, int out, float reach,
                     uint64_t stream) {
    linear_shape shape = {.n = n,
                          .in_features = in,
                          .out_features = out,
                          .type = s->type,
                          .tf32 = s->precision == PRECISION_TF32,
                          .activation = form,
                          .need_dx = true};
    linear_values values = linear_random(s, &shape, stream);
    for (size_t i = 0; i < inputs_of(&shape); i++)
        values.x[i] = rounded_to(s->precision, values.x[i] * reach);
    op_results want = run_ref(s, ref, &shape, &values), got = run(s, &shape, &values);
    op_results again = run(s, &shape, &values);
    /* What it is applied to is stored in the type, and so is its gradient; the derivatives of GELU
     * and of its derivative are at most 1.13 and 0.8. */
    double u = s->type == DTYPE_BF16 ? 0x1p-8 : s->type == DTYPE_F16 ? 0x1p-11 : 0x1p-22;
    double factor = s->precision == PRECISION_TF32 ? 0x1p-11 : 0; /* as products take it */
    double size = 4 * (double)reach * sqrt((double)in), delta = u * (1.2 + size) + factor + 0x1p-21;
    double sum = sum_tolerance((size_t)in) * (double)reach;
    expect_close_stored(s, "y", got.y, want.y, outputs_of(&shape), u * size + 2 * sum);
    expect_close_stored(s, "dx", got.dx[0], want.dx[0], inputs_of(&shape),
                        (delta + sum) * 4 * sqrt((double)out));
    expect_close("dweights", got.gradients[0], want.gradients[0], weights_of(&shape),
                 (delta + sum) * (double)reach * 4 * sqrt((double)n) +
                     sum_tolerance((size_t)n) * (double)reach);
    expect_close("dbias", got.gradients[1], want.gradients[1], (size_t)out,
                 (delta + sum) * 4 * sqrt((double)n) + sum_tolerance((size_t)n));
    expect(memcmp(got.y, again.y, outputs_of(&shape) * sizeof(float)) == 0 &&
               memcmp(got.dx[0], again.dx[0], inputs_of(&shape) * sizeof(float)) == 0,
           "the second run has other bits than the first");
    op_results_free(&want), op_results_free(&got), op_results_free(&again), values_free(&values);
    case_done(s, "linear %dx%d->%d %s", n, in, out, activation_name(form));
}

/* A GELU itself, through a weight of 1: known values, and the derivative's. */
static void gelu_at(subject *s, activation form, const float *z, const float *gelu,
                    const float *slopes, int count) {
    float one = 1, none = 0, *ones = floats((size_t)count);
    linear_shape shape = {.n = count,
                          .in_features = 1,
                          .out_features = 1,
                          .type = s->type,
                          .activation = form,
                          .need_dx = true};
    for (int i = 0; i < count; i++)
        ones[i] = 1;
    op_results got = run(s, &shape, &(linear_values){(float *)z, &one, &none, ones});
    expect_close_stored(s, "y", got.y, gelu, (size_t)count, 0x1p-21);
    expect_close_stored(s, "dx", got.dx[0], slopes, (size_t)count, 0x1p-21);
    free(ones), op_results_free(&got);
    case_done(s, "linear: %s and its derivative at known places", activation_name(form));
}

static void gelu_by_hand(subject *s) {
    static const float z[] = {-30, -6, -3, -1, -0.5f, 0, 0.5f, 1, 3, 30};
    static const float gelu[] = {0, -5.919526e-9f, -0.0040496940f, -0.15865525f, -0.15426877f,
                                 0, 0.34573123f,   0.84134475f,    2.9959503f,   30};
    static const float slopes[] = {0,    -3.5468e-8f,  -0.0119456472f, -0.0833154706f, 0.132504875f,
                                   0.5f, 0.867495125f, 1.08331547f,    1.01194565f,    1};
    gelu_at(s, ACTIVATION_GELU, z, gelu, slopes, sizeof z / sizeof *z);
}

static void tanh_by_hand(subject *s) {
    static const float z[] = {-30, -6, -3, -1, -0.5f, 0, 0.5f, 1, 3, 30};
    static const float gelu[] = {0, -8.4396467e-11f, -0.00363739208f, -0.158808009f, -0.15428599f,
                                 0, 0.34571401f,     0.841191991f,    2.99636261f,   30};
    static const float slopes[] = {
        0,    -7.70997393e-10f, -0.0115841666f, -0.0829640838f, 0.132630096f,
        0.5f, 0.867369904f,     1.08296408f,    1.01158417f,    1};
    gelu_at(s, ACTIVATION_GELU_TANH, z, gelu, slopes, sizeof z / sizeof *z);
}
static void gelu_by_differences(subject *s, subject *ref, activation form) {
    linear_shape shape = {
        .n = 6, .in_features = 9, .out_features = 5, .activation = form, .need_dx = true};
    linear_values in = linear_random(s, &shape, 5990);
    op_trial trial = {.kind = &op_linear,
                      .shape = &shape,
                      .x = {trial_flat(inputs_of(&shape), in.x)},
                      .parameters = {trial_flat(weights_of(&shape), in.weights),
                                     trial_flat((size_t)shape.out_features, in.bias)},
                      .dy = trial_flat(outputs_of(&shape), in.dy)};
    op_results got = op_try(s, &trial);
    expect_differences(ref, &trial, &got, 0x1p-7f, 1, 0x1p-11);
    op_results_free(&got), values_free(&in);
    case_done(s, "linear %s: finite differences", activation_name(form));
}

static void with_gelu(subject *s, subject *ref) {
    for (activation form = ACTIVATION_GELU; form <= ACTIVATION_GELU_TANH; form++) {
        one_gelu(s, ref, form, 64, 128, 70, 1, 5960);
        one_gelu(s, ref, form, 394, 48, 192, 1, 5970);
        one_gelu(s, ref, form, 700, 16, 33, 2, 5980);
    }
    if (s->precision != PRECISION_FP32)
        return;
    gelu_by_hand(s);
    tanh_by_hand(s);
    gelu_by_differences(s, ref, ACTIVATION_GELU);
    gelu_by_differences(s, ref, ACTIVATION_GELU_TANH);
}

void test_linear(subject *s, subject *ref) {
    static const int cases[][3] = {/* n, in, out */
                                   {1, 5, 7},
                                   {3, 16, 32},
                                   {7, 513, 10},
                                   {64, 512, 10},
                                   {16, 1, 1},
                                   {7, 100, 33},
                                   {1, 31, 1},
                                   {64, 48, 17},
                                   {3, 8192, 64},
                                   /* whole vectors, every width and remainder of cpu's products */
                                   {16, 64, 5},
                                   {32, 128, 13},
                                   {48, 192, 71},
                                   {64, 2112, 70},
                                   {32, 4224, 18},
                                   {80, 320, 31},
                                   {256, 128, 200},
                                   {272, 64, 9},
                                   {16, 2048, 520},
                                   /* tokens: tiles that are not whole, a depth and more, and two
                                    * spans of a wide operand; features in whole panels of any form
                                    * (and so of bf16), or of AVX2's alone */
                                   {300, 64, 128},
                                   {259, 64, 832},
                                   {394, 1600, 64},
                                   {394, 272, 112},
                                   {784, 5248, 16}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        linear_shape shape = {.n = cases[i][0],
                              .in_features = cases[i][1],
                              .out_features = cases[i][2],
                              .type = s->type,
                              .tf32 = s->precision == PRECISION_TF32,
                              .activation = relu_where(i % 2 == 0),
                              .need_dx = i % 4 != 3};
        one_shape(s, ref, &shape, 5000 + i);
    }
    static const int batches[] = {1, 2, 5, 16, 33, 63, 200};
    for (size_t i = 0; i < sizeof batches / sizeof *batches; i++)
        like_another(s, ref, batches[i]);
    weights_are_rounded(s);
    with_gelu(s, ref);
    fewer_rows(
        s,
        &(linear_shape){
            .n = 310, .in_features = 832, .out_features = 64, .type = s->type, .need_dx = true},
        260);
    if (s->precision != PRECISION_FP32)
        return;
    one_difference(s, ref, 3, 7, false);
    one_difference(s, ref, 3, 7, true);
    one_difference(s, ref, 16, 64, true);
    fewer_rows(
        s, &(linear_shape){.n = 80, .in_features = 2112, .out_features = 70, .need_dx = true}, 16);
}
