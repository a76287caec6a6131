/* Convolution, forward and backward, against ref at shapes that divide no block, in every layout
 * the device chooses; and against finite differences. */
#include "op_trial.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static dims input_of(const conv2d_shape *shape) {
    return (dims){shape->n, shape->height, shape->width, shape->in_channels};
}

static dims output_of(const conv2d_shape *shape) {
    int taken = 2 * shape->padding - shape->kernel;
    return (dims){shape->n, (shape->height + taken) / shape->stride + 1,
                  (shape->width + taken) / shape->stride + 1, shape->out_channels};
}

static size_t taps_of(const conv2d_shape *shape) { /* products in one output */
    return (size_t)shape->kernel * (size_t)shape->kernel * (size_t)shape->in_channels;
}

static size_t weights_of(const conv2d_shape *shape) {
    return taps_of(shape) * (size_t)shape->out_channels;
}

/* Host values that go in, canonical. */
typedef struct conv2d_values {
    float *x, *weights, *bias, *dy;
} conv2d_values;

/* Weights of bf16 and fp16 are not rounded: that is the device's to do. tf32's are, since its
 * products may take a factor rounded, cut or whole; and so is the bias, which a device may hold in
 * the activations' type. */
static conv2d_values conv2d_random(const subject *s, const conv2d_shape *shape, uint64_t stream) {
    return (conv2d_values){
        .x = random_values(s, dims_count(input_of(shape)), stream * 4, -1, 1),
        .weights = random_weights(s, weights_of(shape), stream * 4 + 1),
        .bias = random_values(s, (size_t)shape->out_channels, stream * 4 + 2, -1, 1),
        .dy = random_values(s, dims_count(output_of(shape)), stream * 4 + 3, -1, 1)};
}

static void values_free(conv2d_values *self) {
    free(self->x), free(self->weights), free(self->bias), free(self->dy);
}

static op_trial trial_of(const conv2d_shape *shape, const conv2d_values *in) {
    op_trial out = {.kind = &op_conv2d,
                    .shape = shape,
                    .x = {trial_image(shape->in_layout, input_of(shape), in->x)},
                    .parameters = {trial_flat(weights_of(shape), in->weights)},
                    .dy = trial_image(shape->out_layout, output_of(shape), in->dy),
                    .leaves = {!shape->need_dx}};
    if (!shape->no_bias)
        out.parameters[1] = trial_flat((size_t)shape->out_channels, in->bias);
    return out;
}

static op_results run(subject *s, const conv2d_shape *shape, const conv2d_values *in) {
    op_trial trial = trial_of(shape, in);
    return op_try(s, &trial);
}

/* What the subject should give: ref's results in fp32, with the weights rounded as the subject's
 * products take them. */
static op_results run_ref(const subject *s, subject *ref, const conv2d_shape *shape,
                          const conv2d_values *in) {
    conv2d_shape plain = *shape;
    conv2d_values rounded = *in;
    plain.in_layout = plain.out_layout = LAYOUT_NHWC;
    plain.type = DTYPE_F32;
    plain.tf32 = false;
    rounded.weights = rounded_copy(s->precision, in->weights, weights_of(shape));
    op_results out = run(ref, &plain, &rounded);
    free(rounded.weights);
    return out;
}

static void compare(const subject *s, const conv2d_shape *shape, const op_results *got,
                    const op_results *want) {
    dims output = output_of(shape);
    size_t positions = (size_t)output.n * (size_t)output.height * (size_t)output.width;
    size_t channels = (size_t)shape->out_channels;
    expect_close_stored(s, "y", got->y, want->y, dims_count(output), sum_tolerance(taps_of(shape)));
    if (shape->need_dx)
        expect_close_stored(
            s, "dx", got->dx[0], want->dx[0], dims_count(input_of(shape)),
            sum_tolerance((size_t)shape->kernel * (size_t)shape->kernel * channels));
    expect_close_stored(s, "dweights", got->gradients[0], want->gradients[0], weights_of(shape),
                        sum_tolerance(positions));
    if (!shape->no_bias)
        expect_close("dbias", got->gradients[1], want->gradients[1], channels,
                     sum_tolerance(positions));
}

/* The same call again gives the same bits. */
static void compare_bits(const conv2d_shape *shape, const op_results *a, const op_results *b) {
    size_t channels = shape->no_bias ? 0 : (size_t)shape->out_channels;
    bool same = memcmp(a->y, b->y, dims_count(output_of(shape)) * sizeof(float)) == 0 &&
                memcmp(a->gradients[0], b->gradients[0], weights_of(shape) * sizeof(float)) == 0;
    if (channels)
        same = same && memcmp(a->gradients[1], b->gradients[1], channels * sizeof(float)) == 0;
    if (shape->need_dx)
        same = same && memcmp(a->dx[0], b->dx[0], dims_count(input_of(shape)) * sizeof(float)) == 0;
    expect(same, "the second run has other bits than the first");
}

static void one_shape(subject *s, subject *ref, const conv2d_shape *shape, uint64_t stream) {
    conv2d_values in = conv2d_random(s, shape, stream);
    op_results want = run_ref(s, ref, shape, &in), got = run(s, shape, &in);
    compare(s, shape, &got, &want);
    if (stream % 4 == 0) {
        op_results again = run(s, shape, &in);
        compare_bits(shape, &got, &again);
        op_results_free(&again);
    }
    op_results_free(&want), op_results_free(&got), values_free(&in);
    case_done(s, "conv2d [%d,%d,%d,%d]->%d %dx%d/%d pad %d%s%s%s %s->%s", shape->n, shape->height,
              shape->width, shape->in_channels, shape->out_channels, shape->kernel, shape->kernel,
              shape->stride, shape->padding, shape->no_bias ? " bare" : "",
              shape->activation ? " relu" : "", shape->need_dx ? "" : " (no dx)",
              layout_name(shape->in_layout), layout_name(shape->out_layout));
}

/* Every kernel, stride and padding with every pair of channels, while batch, size, ReLU and the
 * layouts' roles go round with periods of their own. */
static void sweep(subject *s, subject *ref) {
    static const int channels[][2] = {{3, 64}, {16, 32}, {64, 96}, {5, 7}, {70, 5}};
    static const int sizes[][2] = {{8, 8}, {7, 9}, {5, 13}, {9, 6}, {11, 5}};
    static const int batches[] = {1, 3, 5};
    uint64_t i = 0;
    for (size_t pair = 0; pair < sizeof channels / sizeof *channels; pair++)
        for (int kernel = 1; kernel <= 5; kernel += 2)
            for (int stride = 1; stride <= 2; stride++)
                for (int padding = 0; padding <= (kernel == 1 ? 0 : 2); padding++, i++) {
                    if (s->precision != PRECISION_FP32 && i % 3 == 1)
                        continue; /* for time's sake */
                    conv2d_shape shape = {.n = batches[i % 3],
                                          .height = sizes[i % 5][0],
                                          .width = sizes[i % 5][1],
                                          .in_channels = channels[pair][0],
                                          .out_channels = channels[pair][1],
                                          .kernel = kernel,
                                          .stride = stride,
                                          .padding = padding,
                                          .type = s->type,
                                          .tf32 = s->precision == PRECISION_TF32,
                                          .activation = relu_where(i % 2 == 0),
                                          .need_dx = channels[pair][0] != 3 || i % 7 == 0};
                    shape.in_layout =
                        subject_layout(s, shape.need_dx ? LAYOUT_ROLE_IMAGE : LAYOUT_ROLE_INPUT,
                                       shape.in_channels);
                    shape.out_layout = subject_layout(
                        s, i % 6 == 5 ? LAYOUT_ROLE_FLAT : LAYOUT_ROLE_IMAGE, shape.out_channels);
                    one_shape(s, ref, &shape, i);
                }
}

/* The CNN's own two layers, at a batch that no block divides. */
static void cnn_layers(subject *s, subject *ref) {
    conv2d_shape first = {.n = 7,
                          .height = 32,
                          .width = 32,
                          .in_channels = 3,
                          .out_channels = 64,
                          .kernel = 3,
                          .stride = 1,
                          .padding = 1,
                          .type = s->type,
                          .tf32 = s->precision == PRECISION_TF32,
                          .in_layout = subject_layout(s, LAYOUT_ROLE_INPUT, 3),
                          .out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 64),
                          .activation = ACTIVATION_RELU};
    conv2d_shape second = first;
    second.n = 3, second.height = second.width = 16;
    second.in_channels = 64, second.out_channels = 128;
    second.in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 64);
    second.out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 128);
    second.need_dx = true;
    one_shape(s, ref, &first, 1000);
    one_shape(s, ref, &second, 1001);
}

/* ResNet's, without a bias; but for an image of one pixel, which is smaller than the filter, they
 * are computed by no library's reference. */
static void resnet_layers(subject *s, subject *ref) {
    static const int cases[][8] = {
        /* n, h, w, in, out, kernel, stride, padding */
        {3, 31, 32, 3, 64, 7, 2, 3}, {2, 9, 9, 64, 64, 3, 1, 1},   {1, 15, 15, 64, 128, 3, 2, 1},
        {3, 8, 8, 64, 128, 1, 2, 0}, {1, 7, 7, 128, 256, 1, 1, 0}, {5, 7, 7, 256, 64, 3, 1, 1},
        {7, 1, 1, 64, 128, 3, 2, 1}, {17, 2, 2, 64, 64, 3, 1, 1},  {2, 16, 16, 3, 64, 3, 1, 1}};
    size_t each = strcmp(s->name, "ref") == 0 ? 3 : 1; /* for time's sake */
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i += each) {
        const int *c = cases[i];
        conv2d_shape shape = {.n = c[0],
                              .height = c[1],
                              .width = c[2],
                              .in_channels = c[3],
                              .out_channels = c[4],
                              .kernel = c[5],
                              .stride = c[6],
                              .padding = c[7],
                              .type = s->type,
                              .tf32 = s->precision == PRECISION_TF32,
                              .activation = relu_where(i == 1),
                              .need_dx = c[3] != 3,
                              .no_bias = true};
        shape.in_layout = subject_layout(s, shape.need_dx ? LAYOUT_ROLE_IMAGE : LAYOUT_ROLE_INPUT,
                                         shape.in_channels);
        shape.out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.out_channels);
        one_shape(s, ref, &shape, 2400 + i);
        ls_error error = {0};
        plan *plan = NULL;
        must(op_prepare(s->device, &op_conv2d, &shape, NULL, &plan, &error), &error);
        const char *what = plan_describe(plan);
        if (strcmp(s->device->is->name, "cpu") == 0 && !s->device->facts.reference[0] && c[1] > 1)
            expect(strncmp(what, "ref", 3) != 0 && !strstr(what, "/ ref"), "%s", what);
        plan_release(plan);
        case_done(s, "conv2d: ResNet's %zu is computed by other than a reference", i + 1);
    }
}

/* The ref device serves as truth in any layout, whatever it chooses for itself. */
static void every_layout(subject *s, subject *ref) {
    for (int in = 0; in < LAYOUT_COUNT; in++)
        for (int out = 0; out < LAYOUT_COUNT; out++) {
            conv2d_shape shape = {.n = 2,
                                  .height = 5,
                                  .width = 4,
                                  .in_channels = 17,
                                  .out_channels = 35,
                                  .kernel = 3,
                                  .stride = 1,
                                  .padding = 1,
                                  .type = s->type,
                                  .in_layout = (tensor_layout)in,
                                  .out_layout = (tensor_layout)out,
                                  .need_dx = true};
            one_shape(s, ref, &shape, 2000 + (uint64_t)(in * LAYOUT_COUNT + out));
        }
}

/* A 3 x 3 convolution between image layers, and its plans for two sizes of batch, the second with
 * the first's packed weights. */
typedef struct two_batches {
    conv2d_shape shapes[2];
    plan *plans[2];
} two_batches;

static two_batches prepare_two(subject *s, conv2d_shape shape, int first_n, int other_n) {
    ls_error error = {0};
    shape.n = first_n;
    shape.kernel = 3;
    shape.stride = shape.padding = 1;
    shape.type = s->type;
    shape.tf32 = s->precision == PRECISION_TF32;
    shape.activation = ACTIVATION_RELU;
    shape.need_dx = true;
    shape.in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.in_channels);
    shape.out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.out_channels);
    two_batches out = {.shapes = {shape, shape}};
    out.shapes[1].n = other_n;
    for (int i = 0; i < 2; i++)
        must(op_prepare(s->device, &op_conv2d, &out.shapes[i], i ? out.plans[0] : NULL,
                        &out.plans[i], &error),
             &error);
    return out;
}

static void release_two(two_batches *self) {
    plan_release(self->plans[1]), plan_release(self->plans[0]);
}

/* Whatever algorithm serves the usual batch, the short last one takes no reference implementation:
 * one step of it would take as long as an epoch. Asked of the CNN's second convolution, both ways.
 */
static void short_batch(subject *s, int first_n, int other_n) {
    conv2d_shape conv2 = {.height = 16, .width = 16, .in_channels = 64, .out_channels = 128};
    two_batches both = prepare_two(s, conv2, first_n, other_n);
    for (int i = 0; i < 2; i++) {
        const char *what = plan_describe(both.plans[i]);
        expect(strncmp(what, "ref", 3) != 0 && !strstr(what, "/ ref"), "n=%d: %s",
               i ? other_n : first_n, what);
    }
    release_two(&both);
    case_done(s, "conv2d: a batch of %d beside %d has fast implementations", other_n, first_n);
}

static void like_another(subject *s, subject *ref, int first_n, int other_n, uint64_t stream) {
    conv2d_shape small = {.height = 7, .width = 9, .in_channels = 16, .out_channels = 32};
    two_batches both = prepare_two(s, small, first_n, other_n);
    plan *first = both.plans[0], *second = both.plans[1];
    conv2d_shape other = both.shapes[1];
    expect(first->packed[0].bytes == second->packed[0].bytes, "packed bytes: %zu and %zu",
           first->packed[0].bytes, second->packed[0].bytes);
    conv2d_values in = conv2d_random(s, &other, stream);
    op_trial trial = trial_of(&other, &in);
    trial.plan = second, trial.packing = first;
    op_results got = op_try(s, &trial);
    op_results want = run_ref(s, ref, &other, &in);
    compare(s, &other, &got, &want);
    op_results_free(&got), op_results_free(&want), values_free(&in);
    release_two(&both);
    case_done(s, "conv2d: weights packed for n=%d serve n=%d", first_n, other_n);
}

void test_conv2d(subject *s, subject *ref) {
    sweep(s, ref);
    cnn_layers(s, ref);
    resnet_layers(s, ref);
    if (strcmp(s->name, "ref") == 0)
        every_layout(s, ref);
    like_another(s, ref, 7, 3, 3000);
    like_another(s, ref, 1, 7, 3001);
    like_another(s, ref, 64, 16, 3002);
    if (strcmp(s->device->is->name, "cpu") == 0) {
        static const int sizes[][2] = {{64, 8}, {64, 1}, {8, 64}, {1, 33}, {32, 4}};
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++)
            short_batch(s, sizes[i][0], sizes[i][1]);
    }
}

/* --- finite differences: loss = sum of g * y, y by the ref device in double */

typedef struct conv2d_loss {
    subject *ref;
    plan *plan;
    conv2d_shape shape;
    conv2d_values in; /* in.dy is g */
} conv2d_loss;

static double loss_of(void *context, uint64_t *signature) {
    conv2d_loss *self = context;
    op_trial trial = trial_of(&self->shape, &self->in);
    trial.plan = self->plan, trial.evaluates = true;
    op_results out = op_try(self->ref, &trial);
    size_t count = dims_count(output_of(&self->shape));
    double loss = 0;
    for (size_t i = 0; i < count; i++)
        loss += (double)out.y[i] * (double)self->in.dy[i];
    *signature = self->shape.activation ? signs_of(out.y, count) : 0;
    op_results_free(&out);
    return loss;
}

/* The device's gradients of that loss: g goes through its ReLU mask, then its convolution. */
static op_results gradients(subject *s, const conv2d_shape *shape, const conv2d_values *in) {
    conv2d_values masked = *in;
    if (!shape->activation)
        return run(s, shape, in);
    ls_error error = {0};
    dims d = output_of(shape);
    op_results forward = run(s, shape, in);
    array y = tensor_of(s, shape->out_layout, d, forward.y);
    array dy = tensor_of(s, shape->out_layout, d, in->dy);
    must(s->ops->relu_backward(s->device, s->stream, dy.bytes / dtype_bytes(shape->type),
                               shape->type, y.memory, dy.memory, &error),
         &error);
    masked.dy = tensor_get(s, shape->out_layout, d, &dy);
    op_results out = run(s, shape, &masked);
    array_free(s, &y), array_free(s, &dy);
    op_results_free(&forward);
    free(masked.dy);
    return out;
}

static void one_difference(subject *s, subject *ref, conv2d_shape shape, uint64_t stream) {
    ls_error error = {0};
    conv2d_loss loss = {.ref = ref, .shape = shape, .in = conv2d_random(s, &shape, stream)};
    loss.shape.in_layout = loss.shape.out_layout = LAYOUT_NHWC;
    must(op_prepare(ref->device, &op_conv2d, &loss.shape, NULL, &loss.plan, &error), &error);
    op_results got = gradients(s, &shape, &loss.in);
    dims output = output_of(&shape);
    size_t positions = (size_t)output.n * (size_t)output.height * (size_t)output.width;
    /* The loss is piecewise linear, so the step may be large; y is rounded to fp32 (2^-24 of up to
     * 8 here) on both sides of a division by 2 * step = 1/8, for each of the outputs touched. */
    size_t touched = positions > taps_of(&shape) ? positions : taps_of(&shape);
    differences how = {.loss = loss_of,
                       .context = &loss,
                       .step = 0x1p-4f,
                       .stride = 1,
                       .tolerance = 0x1p-19 * (double)(touched + 8)};
    if (shape.activation)
        how.step = 0x1p-9f, how.tolerance *= 16; /* a short step crosses fewer kinks */
    if (!shape.no_bias)
        expect_gradient("dbias", &how, loss.in.bias, got.gradients[1], (size_t)shape.out_channels);
    how.stride = weights_of(&shape) / 100 + 1;
    expect_gradient("dweights", &how, loss.in.weights, got.gradients[0], weights_of(&shape));
    how.stride = dims_count(input_of(&shape)) / 100 + 1;
    expect_gradient("dx", &how, loss.in.x, got.dx[0], dims_count(input_of(&shape)));
    plan_release(loss.plan);
    op_results_free(&got), values_free(&loss.in);
    case_done(s, "conv2d %d->%d %dx%d/%d pad %d%s: finite differences", shape.in_channels,
              shape.out_channels, shape.kernel, shape.kernel, shape.stride, shape.padding,
              shape.activation ? " relu" : "");
}

void test_conv2d_differences(subject *s, subject *ref) {
    static const int cases[][7] = {
        /* h, w, in, out, kernel, stride, padding; the last has no bias */
        {5, 4, 3, 5, 3, 1, 1},  {6, 5, 5, 3, 3, 2, 1}, {5, 6, 2, 3, 5, 1, 2},
        {4, 3, 7, 2, 1, 1, 0},  {5, 5, 2, 3, 1, 2, 0}, {4, 4, 16, 16, 3, 1, 1},
        {5, 4, 16, 32, 3, 2, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int relu = 0; relu < 2; relu++) {
            const int *c = cases[i];
            conv2d_shape shape = {.n = 2,
                                  .height = c[0],
                                  .width = c[1],
                                  .in_channels = c[2],
                                  .out_channels = c[3],
                                  .kernel = c[4],
                                  .stride = c[5],
                                  .padding = c[6],
                                  .activation = relu_where(relu),
                                  .need_dx = true};
            shape.no_bias = i + 1 == sizeof cases / sizeof *cases;
            shape.in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.in_channels);
            shape.out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.out_channels);
            one_difference(s, ref, shape, 4000 + i);
        }
}
