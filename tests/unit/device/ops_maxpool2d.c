/* Max pooling: it only moves values, so every device must give ref's bits, ties included; where
 * windows overlap, gradients are added up. The gradient is checked against finite differences on
 * values that are far apart. */
#include "op_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static dims input_of(const maxpool2d_shape *shape) {
    return (dims){shape->n, shape->height, shape->width, shape->channels};
}

static dims output_of(const maxpool2d_shape *shape) {
    return (dims){shape->n, maxpool2d_output(shape, shape->height),
                  maxpool2d_output(shape, shape->width), shape->channels};
}

static op_results run(subject *s, const maxpool2d_shape *shape, const float *x, const float *dy) {
    return op_try(s, &(op_trial){.kind = &op_maxpool2d,
                                 .shape = shape,
                                 .x = {trial_image(shape->in_layout, input_of(shape), x)},
                                 .dy = trial_image(shape->out_layout, output_of(shape), dy)});
}

/* Few distinct values, so that most windows have ties; below zero too, as a ReLU's output where
 * the op is told that it is one. */
static float *values_with_ties(const maxpool2d_shape *shape, uint64_t stream) {
    size_t count = dims_count(input_of(shape));
    float *x = random_floats(count, stream, -3, 3);
    for (size_t i = 0; i < count; i++) {
        x[i] = roundf(x[i]);
        if (shape->relu_input && x[i] <= 0)
            x[i] = 0;
    }
    return x;
}

static void one_shape(subject *s, subject *ref, const maxpool2d_shape *shape, uint64_t stream) {
    maxpool2d_shape plain = *shape;
    plain.in_layout = plain.out_layout = LAYOUT_NHWC;
    plain.type = DTYPE_F32;
    float *x = values_with_ties(shape, stream);
    float *dy = random_values(s, dims_count(output_of(shape)), stream + 1, -1, 1);
    op_results want = run(ref, &plain, x, dy), got = run(s, shape, x, dy);
    expect_equal("y", got.y, want.y, dims_count(output_of(shape)));
    if (maxpool2d_stride(shape) >= shape->window)
        expect_equal("dx", got.dx[0], want.dx[0], dims_count(input_of(shape)));
    else
        expect_close_stored(s, "dx", got.dx[0], want.dx[0], dims_count(input_of(shape)),
                            sum_tolerance((size_t)(shape->window * shape->window)));
    free(x), free(dy);
    op_results_free(&got), op_results_free(&want);
    case_done(s, "maxpool2d [%d,%d,%d,%d] window %d/%d pad %d%s %s->%s", shape->n, shape->height,
              shape->width, shape->channels, shape->window, maxpool2d_stride(shape), shape->padding,
              shape->relu_input ? " after relu" : "", layout_name(shape->in_layout),
              layout_name(shape->out_layout));
}

/* --- finite differences: loss = sum of g * pool(relu(x)) */

typedef struct pool_loss {
    subject *ref;
    maxpool2d_shape shape;
    float *x, *g;
} pool_loss;

/* What goes into the pool: the values, or their ReLU. */
static float *pool_input(const maxpool2d_shape *shape, const float *values) {
    size_t count = dims_count(input_of(shape));
    float *x = floats(count);
    for (size_t i = 0; i < count; i++)
        x[i] = shape->relu_input && values[i] < 0 ? 0 : values[i];
    return x;
}

static double loss_of(void *context, uint64_t *signature) {
    pool_loss *self = context;
    float *x = pool_input(&self->shape, self->x);
    op_results out = run(self->ref, &self->shape, x, self->g);
    double loss = 0;
    for (size_t i = 0; i < dims_count(output_of(&self->shape)); i++)
        loss += (double)out.y[i] * (double)self->g[i];
    free(x);
    op_results_free(&out);
    *signature = 0; /* the values are further apart than the steps */
    return loss;
}

static void one_difference(subject *s, subject *ref, maxpool2d_shape shape) {
    size_t count = dims_count(input_of(&shape));
    float *x = floats(count);
    for (size_t i = 0; i < count; i++) /* a permutation of odd multiples of 1/64 around zero */
        x[i] = (float)((i * 37 % count) * 2 + 1) / 64.0f - (float)(count / 2) / 32.0f;
    float *g = random_floats(dims_count(output_of(&shape)), 6900, -1, 1);
    float *in = pool_input(&shape, x);
    op_results got = run(s, &shape, in, g);
    pool_loss loss = {.ref = ref, .shape = shape, .x = x, .g = g};
    loss.shape.in_layout = loss.shape.out_layout = LAYOUT_NHWC;
    differences how = {
        .loss = loss_of, .context = &loss, .step = 0x1p-8f, .stride = 1, .tolerance = 1e-6};
    expect_gradient("dx", &how, x, got.dx[0], count);
    free(x), free(g), free(in);
    op_results_free(&got);
    case_done(s, "maxpool2d window %d/%d pad %d%s: finite differences", shape.window,
              maxpool2d_stride(&shape), shape.padding, shape.relu_input ? " after relu" : "");
}

static void every_pair_of_layouts(subject *s, subject *ref, maxpool2d_shape shape, uint64_t i) {
    bool any = strcmp(s->name, "ref") == 0; /* the truth in every layout */
    for (int in = 0; any && in < LAYOUT_COUNT; in++)
        for (int out = 0; out < LAYOUT_COUNT; out++) {
            shape.in_layout = (tensor_layout)in, shape.out_layout = (tensor_layout)out;
            one_shape(s, ref, &shape, 6000 + 2 * i);
        }
    for (int flat = 0; !any && flat < 2; flat++) {
        shape.in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.channels);
        shape.out_layout =
            subject_layout(s, flat ? LAYOUT_ROLE_FLAT : LAYOUT_ROLE_IMAGE, shape.channels);
        one_shape(s, ref, &shape, 6000 + 2 * i);
    }
}

/* Windows that overlap, leave gaps, or begin in padding: ResNet's, at sizes that end in and before
 * padding, and others. */
static void strides_and_padding(subject *s, subject *ref) {
    static const int cases[][7] = {
        /* n, h, w, c, window, stride, padding */
        {2, 15, 16, 64, 3, 2, 1}, {3, 7, 7, 16, 3, 2, 1}, {1, 1, 1, 48, 3, 2, 1},
        {2, 8, 9, 5, 3, 2, 1},    {3, 6, 5, 16, 3, 1, 1}, {2, 9, 8, 48, 2, 3, 1},
        {1, 11, 7, 64, 5, 2, 2},  {2, 8, 8, 3, 3, 2, 0},  {17, 57, 56, 64, 3, 2, 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const int *c = cases[i];
        maxpool2d_shape shape = {.n = c[0],
                                 .height = c[1],
                                 .width = c[2],
                                 .channels = c[3],
                                 .window = c[4],
                                 .stride = c[5],
                                 .padding = c[6],
                                 .type = s->type,
                                 .relu_input = i % 2};
        if (strcmp(s->name, "ref") != 0 || c[0] < 17)
            every_pair_of_layouts(s, ref, shape, 200 + i);
        shape.n = 2, shape.channels = 16, shape.height %= 12, shape.width %= 12;
        shape.in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.channels);
        shape.out_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.channels);
        if (s->precision == PRECISION_FP32)
            one_difference(s, ref, shape);
    }
}

void test_maxpool2d(subject *s, subject *ref) {
    static const int sizes[][2] = {{8, 8}, {7, 9}, {3, 5}, {11, 10}, {3, 3}};
    static const int channels[] = {5, 16, 64, 3, 48}, batches[] = {1, 3, 7};
    for (uint64_t i = 0; i < 20; i++) {
        maxpool2d_shape shape = {.n = batches[i % 3],
                                 .height = sizes[i % 5][0],
                                 .width = sizes[i % 5][1],
                                 .channels = channels[(i + i / 5) % 5],
                                 .window = i % 2 ? 2 : 3,
                                 .type = s->type,
                                 .relu_input = i / 2 % 2};
        every_pair_of_layouts(s, ref, shape, i);
    }
    /* So large that a device may write it past its caches; the second with pixels no window has. */
    for (uint64_t i = 0; i < 2; i++)
        every_pair_of_layouts(s, ref,
                              (maxpool2d_shape){.n = 17,
                                                .height = 32 + (int)i,
                                                .width = 33,
                                                .channels = 64,
                                                .window = 2,
                                                .type = s->type,
                                                .relu_input = true},
                              100 + i);
    for (int i = 0; i < 4 && s->precision == PRECISION_FP32; i++) {
        maxpool2d_shape shape = {.n = 2,
                                 .height = 5,
                                 .width = 7,
                                 .channels = 16,
                                 .window = i % 2 ? 2 : 3,
                                 .relu_input = i / 2};
        shape.in_layout = subject_layout(s, LAYOUT_ROLE_IMAGE, shape.channels);
        shape.out_layout = subject_layout(s, LAYOUT_ROLE_FLAT, shape.channels);
        one_difference(s, ref, shape);
    }
    strides_and_padding(s, ref);
}
