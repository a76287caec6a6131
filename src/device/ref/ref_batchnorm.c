/* Batch normalisation as its definition has it: the mean, then the variance around it. `saved`
 * holds four doubles a channel: the mean, the inverse standard deviation, and what
 * backward_parameters leaves for backward_inputs: the means of the masked dy, and of it times the
 * normalised x. */
#include "device/kinds/batchnorm2d.h"
#include "device/ref/ref.h"

#include <math.h>

const op_kind op_batchnorm2d = {"batchnorm2d"};

typedef struct ref_batchnorm2d_plan {
    plan base;
    batchnorm2d_shape shape;
} ref_batchnorm2d_plan;

typedef struct channel_state {
    double mean, inverse, mean_dy, mean_product;
} channel_state;

/* What is summed over a channel, of `count` values. */
typedef struct channel_sums {
    double count, first, second;
} channel_sums;

static const batchnorm2d_shape *shape_of(const plan *self) {
    return &((const ref_batchnorm2d_plan *)self)->shape;
}

static size_t values_of(const batchnorm2d_shape *shape) {
    return (size_t)shape->n * (size_t)shape->height * (size_t)shape->width;
}

/* Where value i of a channel lies. */
static size_t index_of(const batchnorm2d_shape *shape, size_t i, int c) {
    size_t width = (size_t)shape->width, height = (size_t)shape->height;
    ref_shape tensor = {shape->n, shape->height, shape->width, shape->channels};
    return ref_index_of(shape->layout, tensor, (int)(i / width / height), (int)(i / width % height),
                        (int)(i % width), c);
}

static int prepare(plan *self, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const batchnorm2d_shape *shape = wanted;
    LS_TRY(ref_check_type("batchnorm2d", shape->type, error));
    LS_TRY(plan_refuse_activation(self, shape->activation, error));
    ((ref_batchnorm2d_plan *)self)->shape = *shape;
    self->saved_bytes = (size_t)shape->channels * sizeof(channel_state);
    plan_need_workspace(self, batchnorm2d_sums(shape->channels) * sizeof(double));
    text_add(&self->description, "ref");
    return LS_OK;
}

static double mean_of(const batchnorm2d_shape *shape, const void *x, int c) {
    double sum = 0;
    for (size_t i = 0; i < values_of(shape); i++)
        sum += ref_load(shape->type, x, index_of(shape, i, c));
    return sum / (double)values_of(shape);
}

static double squares_of(const batchnorm2d_shape *shape, const void *x, double mean, int c) {
    double sum = 0;
    for (size_t i = 0; i < values_of(shape); i++) {
        double away = ref_load(shape->type, x, index_of(shape, i, c)) - mean;
        sum += away * away;
    }
    return sum;
}

static void move(float *running, double momentum, double to) {
    *running = (float)((1 - momentum) * (double)*running + momentum * to);
}

/* [batchnorm2d_sums] */
static double *sums_of(const op_arguments *a) {
    return a->sums ? a->sums->values : a->workspace;
}

/* Completes the sums: this rank's own, or all ranks'. */
static int add_up(const batchnorm2d_shape *shape, const op_arguments *a, ls_error *error) {
    sums_of(a)[0] = (double)values_of(shape);
    if (!a->sums)
        return LS_OK;
    return a->sums->add_up(a->sums->context, batchnorm2d_sums(shape->channels), error);
}

static void put_sums(const op_arguments *a, int c, double first, double second) {
    double *sums = sums_of(a);
    sums[1 + 2 * c] = first;
    sums[2 + 2 * c] = second;
}

static channel_sums sums_at(const op_arguments *a, int c) {
    const double *sums = sums_of(a);
    return (channel_sums){sums[0], sums[1 + 2 * c], sums[2 + 2 * c]};
}

/* Of a batch that several ranks have parts of: all their sums of values and of squares. */
static int moments(const batchnorm2d_shape *shape, const op_arguments *a, ls_error *error) {
    double count = (double)values_of(shape);
    if (!a->sums)
        return LS_OK;
    for (int c = 0; c < shape->channels; c++) {
        double mean = mean_of(shape, a->x[0], c);
        put_sums(a, c, count * mean, squares_of(shape, a->x[0], mean, c) + count * mean * mean);
    }
    return add_up(shape, a, error);
}

/* The batch's statistics, to which the running ones move; or, in evaluation, these. */
static channel_state statistics(const batchnorm2d_shape *shape, const op_arguments *a, int c) {
    double count = (double)values_of(shape), squares;
    channel_state out = {0};
    if (a->again)
        return ((const channel_state *)a->saved)[c];
    if (!a->training) {
        out.mean = (double)a->buffers[0][c];
        out.inverse = 1 / sqrt((double)a->buffers[1][c] + shape->epsilon);
        return out;
    }
    if (a->sums) {
        channel_sums all = sums_at(a, c);
        count = all.count;
        out.mean = all.first / count;
        squares = fmax(all.second - count * out.mean * out.mean, 0);
    } else {
        out.mean = mean_of(shape, a->x[0], c);
        squares = squares_of(shape, a->x[0], out.mean, c);
    }
    out.inverse = 1 / sqrt(squares / count + shape->epsilon);
    move(&a->buffers[0][c], shape->momentum, out.mean);
    move(&a->buffers[1][c], shape->momentum, count > 1 ? squares / (count - 1) : 0);
    return out;
}

static double normalised(const batchnorm2d_shape *shape, const op_arguments *a,
                         const channel_state *of, size_t index) {
    return (ref_load(shape->type, a->x[0], index) - of->mean) * of->inverse;
}

/* y before the ReLU. */
static double result(const batchnorm2d_shape *shape, const op_arguments *a, const channel_state *of,
                     size_t index, int c) {
    double y =
        normalised(shape, a, of, index) * (double)a->parameters[0][c] + (double)a->parameters[1][c];
    return shape->joins ? y + ref_load(shape->type, a->x[1], index) : y;
}

static int forward(plan *self, const op_arguments *a, ls_error *error) {
    const batchnorm2d_shape *shape = shape_of(self);
    if (a->training && !a->again)
        LS_TRY(moments(shape, a, error));
    for (int c = 0; c < shape->channels; c++) {
        channel_state of = statistics(shape, a, c);
        for (size_t i = 0; i < values_of(shape); i++) {
            size_t index = index_of(shape, i, c);
            double y = result(shape, a, &of, index, c);
            ref_store(shape->type, a->y, index,
                      shape->activation == ACTIVATION_RELU && y < 0 ? 0 : y);
        }
        if (a->training)
            ((channel_state *)a->saved)[c] = of;
    }
    return LS_OK;
}

/* dy where the ReLU let y through. */
static double masked(const batchnorm2d_shape *shape, const op_arguments *a, const channel_state *of,
                     size_t index, int c) {
    bool passes = shape->activation == ACTIVATION_NONE ||
                  (shape->joins ? ref_load(shape->type, a->y, index) > 0
                                : result(shape, a, of, index, c) > 0);
    return passes ? ref_load(shape->type, a->dy, index) : 0;
}

static int backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    const batchnorm2d_shape *shape = shape_of(self);
    channel_state *saved = a->saved;
    for (int c = 0; c < shape->channels; c++) {
        double sum = 0, product = 0;
        for (size_t i = 0; i < values_of(shape); i++) {
            size_t index = index_of(shape, i, c);
            double dy = masked(shape, a, &saved[c], index, c);
            sum += dy;
            product += dy * normalised(shape, a, &saved[c], index);
            if (shape->joins && a->dx[1])
                ref_store(shape->type, a->dx[1], index, dy);
        }
        a->gradients[0][c] = (float)product;
        a->gradients[1][c] = (float)sum;
        put_sums(a, c, sum, product);
    }
    LS_TRY(add_up(shape, a, error));
    for (int c = 0; c < shape->channels; c++) {
        channel_sums all = sums_at(a, c);
        saved[c].mean_dy = all.first / all.count;
        saved[c].mean_product = all.second / all.count;
    }
    return LS_OK;
}

/* dx = gamma / std * (dy - the mean of dy - normalised x * the mean of dy * normalised x). */
static int backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const batchnorm2d_shape *shape = shape_of(self);
    for (int c = 0; c < shape->channels && a->dx[0]; c++) {
        const channel_state *of = &((const channel_state *)a->saved)[c];
        double scale = (double)a->parameters[0][c] * of->inverse;
        for (size_t i = 0; i < values_of(shape); i++) {
            size_t index = index_of(shape, i, c);
            double away = masked(shape, a, of, index, c) - of->mean_dy -
                          normalised(shape, a, of, index) * of->mean_product;
            ref_store(shape->type, a->dx[0], index, scale * away);
        }
    }
    return LS_OK;
}

const op ref_batchnorm2d = {
    .kind = &op_batchnorm2d,
    .plan_bytes = sizeof(ref_batchnorm2d_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
