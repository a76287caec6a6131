/* Batch normalisation, with its ReLU and its join: against ref in every layout that the device
 * chooses; ref against the textbook, written down here in double, and both against finite
 * differences of that. One thread gives the bits of all. */
#include "device/kinds/batchnorm2d.h"
#include "op_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static dims dims_of(const batchnorm2d_shape *shape) {
    return (dims){shape->n, shape->height, shape->width, shape->channels};
}

static size_t values_in(const batchnorm2d_shape *shape) { /* of a channel */
    return dims_count(dims_of(shape)) / (size_t)shape->channels;
}

/* Host values that go in, canonical. */
typedef struct norm_values {
    float *x, *other, *dy, *gamma, *beta, *mean, *variance;
} norm_values;

/* Channels of unlike means and spreads, `away` the furthest mean. */
static norm_values values_for(const subject *s, const batchnorm2d_shape *shape, float away,
                              uint64_t stream) {
    size_t count = dims_count(dims_of(shape)), channels = (size_t)shape->channels;
    norm_values out = {.x = random_floats(count, stream, -1, 1),
                       .other = random_values(s, count, stream + 1, -1, 1),
                       .dy = random_values(s, count, stream + 2, -1, 1),
                       .gamma = random_floats(channels, stream + 3, -2, 2),
                       .beta = random_floats(channels, stream + 4, -1, 1),
                       .mean = random_floats(channels, stream + 5, -1, 1),
                       .variance = random_floats(channels, stream + 6, 0.5f, 2)};
    for (size_t i = 0; i < count; i++) {
        size_t c = i % channels;
        float spread = 0.25f + (float)(c % 5), mean = away * (float)((c % 7) - 3.0) / 3;
        out.x[i] = out.x[i] * spread + mean;
    }
    if (s->type != DTYPE_F32) {
        float *rounded = rounded_copy(s->precision, out.x, count);
        free(out.x);
        out.x = rounded;
    }
    return out;
}

static void values_free(norm_values *self) {
    free(self->x), free(self->other), free(self->dy), free(self->gamma), free(self->beta);
    free(self->mean), free(self->variance);
}

static op_trial trial_of(const batchnorm2d_shape *shape, const norm_values *in) {
    size_t channels = (size_t)shape->channels;
    op_trial out = {.kind = &op_batchnorm2d,
                    .shape = shape,
                    .x = {trial_image(shape->layout, dims_of(shape), in->x)},
                    .parameters = {trial_flat(channels, in->gamma), trial_flat(channels, in->beta)},
                    .buffers = {trial_flat(channels, in->mean), trial_flat(channels, in->variance)},
                    .dy = trial_image(shape->layout, dims_of(shape), in->dy)};
    if (shape->joins)
        out.x[1] = trial_image(shape->layout, dims_of(shape), in->other);
    return out;
}

static op_results run_ref(subject *ref, const batchnorm2d_shape *shape, const norm_values *in,
                          bool evaluates) {
    batchnorm2d_shape plain = *shape;
    plain.layout = LAYOUT_NHWC;
    plain.type = DTYPE_F32;
    op_trial trial = trial_of(&plain, in);
    trial.evaluates = evaluates;
    return op_try(ref, &trial);
}

static void name_case(const subject *s, const batchnorm2d_shape *shape, const char *what) {
    case_done(s, "batchnorm2d [%d,%d,%d,%d]%s%s %s%s", shape->n, shape->height, shape->width,
              shape->channels, shape->joins ? " + x" : "", shape->activation ? " relu" : "",
              layout_name(shape->layout), what);
}

/* --- against ref */

/* How far fp32 may be: `reach` is the largest |x| * gamma over its channel's spread, which the
 * mean's rounding is relative to. */
static void compare(const subject *s, const batchnorm2d_shape *shape, const op_results *got,
                    const op_results *want, double reach) {
    size_t count = dims_count(dims_of(shape)), channels = (size_t)shape->channels;
    double near = 0x1p-21 * (reach + 8), summed = sum_tolerance(values_in(shape)) * (reach + 8);
    expect_close_stored(s, "y", got->y, want->y, count, near);
    expect_close_stored(s, "dx", got->dx[0], want->dx[0], count, near * 16);
    if (shape->joins)
        expect_equal("dx of the other", got->dx[1], want->dx[1], count);
    expect_close("dgamma", got->gradients[0], want->gradients[0], channels, summed);
    expect_close("dbeta", got->gradients[1], want->gradients[1], channels,
                 sum_tolerance(values_in(shape)));
    expect_close("the running mean", got->buffers[0], want->buffers[0], channels, near);
    expect_close("the running variance", got->buffers[1], want->buffers[1], channels, near * 8);
}

static void one_shape(subject *s, subject *ref, const batchnorm2d_shape *shape, float away,
                      uint64_t stream) {
    norm_values in = values_for(s, shape, away, stream);
    op_trial trial = trial_of(shape, &in);
    op_results want = run_ref(ref, shape, &in, false), got = op_try(s, &trial);
    compare(s, shape, &got, &want, 14 * (double)away);
    op_results again = op_try_alone(s, &trial);
    expect_same_bits(&trial, &got, &again);
    op_results_free(&want), op_results_free(&got), op_results_free(&again);
    name_case(s, shape, "");
    trial.evaluates = true;
    want = run_ref(ref, shape, &in, true), got = op_try(s, &trial);
    expect_close_stored(s, "y", got.y, want.y, dims_count(dims_of(shape)),
                        0x1p-20 * ((double)away + 8));
    expect_equal("the running mean", got.buffers[0], in.mean, (size_t)shape->channels);
    expect_equal("the running variance", got.buffers[1], in.variance, (size_t)shape->channels);
    name_case(s, shape, ", evaluation");
    op_results_free(&want), op_results_free(&got), values_free(&in);
}

static void every_form(subject *s, subject *ref, batchnorm2d_shape shape, float away,
                       uint64_t stream) {
    for (int form = 0; form < 4; form++) {
        shape.joins = form / 2;
        /* Of means that fp32 holds less exactly, a ReLU may let another value through. */
        shape.activation = relu_where(form % 2 && away <= 1);
        one_shape(s, ref, &shape, away, stream + (uint64_t)form * 8);
    }
}

/* --- a batch in two parts, whose sums are added up */

enum { SUMS_A_STEP = 2 }; /* forward's and backward's */

/* One of the two. A pass adds what the other one had when it was last run: three runs, and
 * forward's sums, then backward's, which are made of them, are those of both. */
typedef struct part {
    subject *s;
    batchnorm2d_shape shape;
    norm_values in;
    op_sums sums;
    array memory;
    const struct part *other;
    double *own[SUMS_A_STEP];
    int calls;
    op_results out;
} part;

static int add_up(void *context, size_t count, ls_error *error) {
    part *self = context;
    const device_interface *is = self->s->device->is;
    double *values = self->own[self->calls % SUMS_A_STEP], total[count];
    expect(count == batchnorm2d_sums(self->shape.channels), "%zu values are added up", count);
    must(is->stream_synchronize(self->s->device, self->s->stream, error), error);
    array_get(self->s, &self->memory, values);
    for (size_t i = 0; i < count; i++)
        total[i] = values[i] + self->other->own[self->calls % SUMS_A_STEP][i];
    must(is->copy(self->s->device, self->s->stream, self->memory.memory, total, sizeof total,
                  COPY_HOST_TO_DEVICE, error),
         error);
    must(is->stream_synchronize(self->s->device, self->s->stream, error), error);
    self->calls++;
    return LS_OK;
}

/* Images [first, first + n) of a batch. */
static void part_open(part *self, subject *s, const batchnorm2d_shape *whole, const norm_values *in,
                      int first, int n) {
    size_t sums = batchnorm2d_sums(whole->channels);
    size_t from = dims_count(dims_of(whole)) / (size_t)whole->n * (size_t)first;
    *self = (part){.s = s, .shape = *whole, .in = *in};
    self->shape.n = n;
    self->in.x += from, self->in.other += from, self->in.dy += from;
    for (int i = 0; i < SUMS_A_STEP; i++)
        if (!(self->own[i] = calloc(sums, sizeof(double))))
            abort();
    self->memory = array_of(s, self->own[0], sums * sizeof(double));
    self->sums = (op_sums){self, self->memory.memory, add_up};
}

static void part_close(part *self) {
    for (int i = 0; i < SUMS_A_STEP; i++)
        free(self->own[i]);
    array_free(self->s, &self->memory);
    op_results_free(&self->out);
}

static void run_part(part *self) {
    op_trial trial = trial_of(&self->shape, &self->in);
    trial.sums = &self->sums;
    op_results_free(&self->out);
    self->out = op_try(self->s, &trial);
}

/* a behind b. */
static float *both(const float *a, size_t count, const float *b, size_t more) {
    float *out = floats(count + more);
    memcpy(out, a, count * sizeof *a);
    memcpy(out + count, b, more * sizeof *b);
    return out;
}

static float *sum_of(const float *a, const float *b, size_t count) {
    float *out = floats(count);
    for (size_t i = 0; i < count; i++)
        out[i] = a[i] + b[i];
    return out;
}

/* The outputs and gradients of both together; running statistics are the first's. */
static op_results together(const part *parts, const batchnorm2d_shape *shape) {
    size_t one = dims_count(dims_of(&parts[0].shape)), two = dims_count(dims_of(&parts[1].shape));
    size_t channels = (size_t)shape->channels;
    const op_results *a = &parts[0].out, *b = &parts[1].out;
    op_results out = {.y = both(a->y, one, b->y, two)};
    for (int i = 0; i < (shape->joins ? 2 : 1); i++)
        out.dx[i] = both(a->dx[i], one, b->dx[i], two);
    for (int i = 0; i < 2; i++) {
        out.gradients[i] = sum_of(a->gradients[i], b->gradients[i], channels);
        out.buffers[i] = both(a->buffers[i], channels, a->buffers[i], 0);
        expect_equal("a running statistic of the other part", b->buffers[i], a->buffers[i],
                     channels);
    }
    return out;
}

static void in_two_parts(subject *s, subject *ref, const batchnorm2d_shape *shape,
                         uint64_t stream) {
    norm_values in = values_for(s, shape, 1, stream);
    op_results want = run_ref(ref, shape, &in, false);
    part parts[2];
    part_open(&parts[0], s, shape, &in, 0, 1);
    part_open(&parts[1], s, shape, &in, 1, shape->n - 1);
    parts[0].other = &parts[1], parts[1].other = &parts[0];
    for (int run = 0; run < 6; run++)
        run_part(&parts[run % 2]);
    expect(parts[0].calls == 3 * SUMS_A_STEP, "sums were added up %d times", parts[0].calls);
    op_results got = together(parts, shape);
    compare(s, shape, &got, &want, 14);
    name_case(s, shape, ", in two parts");
    part_close(&parts[0]), part_close(&parts[1]);
    op_results_free(&want), op_results_free(&got), values_free(&in);
}

/* --- ref against the textbook */

typedef struct textbook {
    double *y;
    double *mean, *variance; /* unbiased */
} textbook;

static textbook textbook_of(const batchnorm2d_shape *shape, const norm_values *in) {
    size_t count = dims_count(dims_of(shape)), channels = (size_t)shape->channels;
    double values = (double)values_in(shape);
    textbook out = {calloc(count, sizeof(double)), calloc(channels, sizeof(double)),
                    calloc(channels, sizeof(double))};
    if (!out.y || !out.mean || !out.variance)
        abort();
    for (size_t i = 0; i < count; i++)
        out.mean[i % channels] += (double)in->x[i] / values;
    for (size_t i = 0; i < count; i++)
        out.variance[i % channels] += pow((double)in->x[i] - out.mean[i % channels], 2);
    for (size_t i = 0; i < count; i++) {
        size_t c = i % channels;
        double y = ((double)in->x[i] - out.mean[c]) / sqrt(out.variance[c] / values + 1e-5);
        y = y * (double)in->gamma[c] + (double)in->beta[c];
        out.y[i] = shape->joins ? y + (double)in->other[i] : y;
    }
    for (size_t c = 0; c < channels; c++)
        out.variance[c] /= values - 1;
    return out;
}

static void textbook_free(textbook *self) {
    free(self->y), free(self->mean), free(self->variance);
}

static void against_textbook(subject *s, const batchnorm2d_shape *shape, uint64_t stream) {
    size_t count = dims_count(dims_of(shape));
    norm_values in = values_for(s, shape, 1, stream);
    op_trial trial = trial_of(shape, &in);
    op_results got = op_try(s, &trial);
    textbook want = textbook_of(shape, &in);
    float *y = floats(count);
    for (size_t i = 0; i < count; i++)
        y[i] = shape->activation && want.y[i] < 0 ? 0 : (float)want.y[i];
    expect_close_stored(s, "y", got.y, y, count, 0x1p-18);
    for (int c = 0; c < shape->channels; c++) {
        double mean = 0.9 * (double)in.mean[c] + 0.1 * want.mean[c];
        double variance = 0.9 * (double)in.variance[c] + 0.1 * want.variance[c];
        expect(fabs((double)got.buffers[0][c] - mean) < 1e-6, "running mean %d", c);
        expect(fabs((double)got.buffers[1][c] - variance) < 1e-5, "running variance %d", c);
    }
    name_case(s, shape, ": the textbook's");
    free(y), textbook_free(&want), op_results_free(&got), values_free(&in);
}

/* --- finite differences: loss = sum of dy * relu(y), y the textbook's */

typedef struct norm_loss {
    batchnorm2d_shape shape;
    norm_values in; /* in.dy is g */
} norm_loss;

static double loss_of(void *context, uint64_t *signature) {
    norm_loss *self = context;
    size_t count = dims_count(dims_of(&self->shape));
    textbook at = textbook_of(&self->shape, &self->in);
    float *signs = floats(count);
    double loss = 0;
    for (size_t i = 0; i < count; i++) {
        signs[i] = (float)at.y[i];
        if (!self->shape.activation || at.y[i] > 0)
            loss += at.y[i] * (double)self->in.dy[i];
    }
    *signature = self->shape.activation ? signs_of(signs, count) : 0;
    free(signs), textbook_free(&at);
    return loss;
}

static void one_difference(subject *s, batchnorm2d_shape shape, uint64_t stream) {
    size_t count = dims_count(dims_of(&shape)), channels = (size_t)shape.channels;
    norm_loss loss = {shape, values_for(s, &shape, 1, stream)};
    op_trial trial = trial_of(&shape, &loss.in);
    op_results got = op_try(s, &trial);
    /* The loss is in double; its third derivative over 6, times the step squared, is what a
     * difference may miss: a channel's spread is at least 1/8 of a unit here. */
    differences how = {
        .loss = loss_of, .context = &loss, .step = 0x1p-12f, .stride = 1, .tolerance = 1e-4};
    expect_gradient("dx", &how, loss.in.x, got.dx[0], count);
    if (shape.joins)
        expect_gradient("dx of the other", &how, loss.in.other, got.dx[1], count);
    expect_gradient("dgamma", &how, loss.in.gamma, got.gradients[0], channels);
    expect_gradient("dbeta", &how, loss.in.beta, got.gradients[1], channels);
    op_results_free(&got), values_free(&loss.in);
    name_case(s, &shape, ": finite differences");
}

static void in_every_layout(subject *s, subject *ref) {
    for (int layout = 0; layout < LAYOUT_COUNT; layout++)
        every_form(s, ref,
                   (batchnorm2d_shape){.n = 3,
                                       .height = 5,
                                       .width = 7,
                                       .channels = 48,
                                       .layout = (tensor_layout)layout,
                                       .type = s->type,
                                       .epsilon = 1e-5,
                                       .momentum = 0.1},
                   1, 8000 + 100 * (uint64_t)layout);
}

void test_batchnorm2d(subject *s, subject *ref) {
    /* ResNet's, images of odd sizes, one pixel, one image, channels that fill no vector; the last
     * ones with means far from zero. */
    static const int shapes[][4] = {{7, 15, 15, 64}, {1, 7, 7, 512},  {33, 1, 1, 512},
                                    {5, 56, 56, 16}, {3, 14, 13, 96}, {17, 7, 7, 256},
                                    {2, 9, 4, 5},    {3, 8, 8, 2048}, {4, 20, 33, 64}};
    static const float away[] = {1, 1, 1, 1, 1, 1, 1, 1, 100};
    bool is_ref = strcmp(s->name, "ref") == 0;
    for (size_t i = is_ref ? 6 : 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *d = shapes[i];
        batchnorm2d_shape shape = {.n = d[0],
                                   .height = d[1],
                                   .width = d[2],
                                   .channels = d[3],
                                   .layout = subject_layout(s, LAYOUT_ROLE_IMAGE, d[3]),
                                   .type = s->type,
                                   .epsilon = 1e-5,
                                   .momentum = 0.1};
        every_form(s, ref, shape, away[i], 9000 + 100 * i);
    }
    if (s->device->facts.host_addressable)
        in_every_layout(s, ref);
    for (int form = 0; form < 4; form++) {
        batchnorm2d_shape shape = {.n = 3,
                                   .height = 3,
                                   .width = 5,
                                   .channels = 16,
                                   .layout = subject_layout(s, LAYOUT_ROLE_IMAGE, 16),
                                   .type = s->type,
                                   .joins = form / 2,
                                   .activation = relu_where(form % 2),
                                   .epsilon = 1e-5,
                                   .momentum = 0.1};
        against_textbook(s, &shape, 7100 + (uint64_t)form * 8);
        in_two_parts(s, ref, &shape, 7300 + (uint64_t)form * 8);
        if (s->precision == PRECISION_FP32)
            one_difference(s, shape, 7200 + (uint64_t)form * 8);
    }
}
