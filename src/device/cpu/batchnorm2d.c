/* Batch normalisation: how its loops (norm.h) are shared out, and the sums between tiles. Blocks
 * that a core's cache holds are normalised as soon as they are summed; in a larger one the second
 * pass goes backwards, and begins with what the first has left in the cache. */
#include "device/cpu/norm.h"

#include "device/cpu/cpu.h"
#include "device/cpu/stream.h"

#include <math.h>
#include <omp.h>

typedef struct norm_plan {
    plan base;
    batchnorm2d_shape shape;
    norm_view view;
} norm_plan;

/* Of `saved`: [channels] each. mean_dy and mean_product (of dy times the normalised x) are
 * backward_parameters' for backward_inputs. */
typedef struct saved_channels {
    float *mean, *inverse, *mean_dy, *mean_product;
} saved_channels;

/* Of the workspace: tiles' sums [tile of a block][block][3][group], coefficients, and all tiles'
 * sums [batchnorm2d_sums], which are op_sums' where these are given. */
typedef struct scratch {
    float *partial, *mean, *scale, *slope, *base;
    double *sums;
} scratch;

enum { TILE_VALUES = 32768, LEAST_TILE = 64, MOST_TILE = 1024, SLAB_BYTES = 1 << 20 };

norm_view cpu_norm_view(const batchnorm2d_shape *shape) {
    size_t pixels = (size_t)shape->height * (size_t)shape->width;
    int planes = layout_plane_channels(shape->layout);
    bool last = shape->layout == LAYOUT_NHWC;
    norm_view out = {.channels = shape->channels,
                     .group = last     ? shape->channels
                              : planes ? planes
                                       : 1,
                     .pixels = (size_t)shape->n * pixels};
    size_t group = (size_t)out.group, fits = TILE_VALUES / group;
    out.blocks = shape->channels / out.group;
    out.period = NORM_PERIOD % group == 0 ? NORM_PERIOD : group;
    out.run = last ? out.pixels : pixels;
    out.image = pixels * (size_t)shape->channels;
    out.block = pixels * group;
    out.tile = fits < LEAST_TILE ? LEAST_TILE : fits > MOST_TILE ? MOST_TILE : fits;
    out.tiles = (int)((out.pixels + out.tile - 1) / out.tile);
    return out;
}

static saved_channels saved_of(const norm_plan *self, void *saved) {
    size_t channels = (size_t)self->shape.channels;
    float *at = saved;
    return (saved_channels){at, at + channels, at + 2 * channels, at + 3 * channels};
}

/* Of the scratch in fp32, whole doubles. */
static size_t scratch_floats(const norm_plan *self) {
    size_t tiles = (size_t)self->view.tiles;
    return ((4 + 3 * tiles) * (size_t)self->shape.channels + 1) / 2 * 2;
}

static scratch scratch_of(const norm_plan *self, void *workspace) {
    size_t channels = (size_t)self->shape.channels;
    float *at = workspace;
    return (scratch){at + 4 * channels, at,
                     at + channels,     at + 2 * channels,
                     at + 3 * channels, (double *)(void *)(at + scratch_floats(self))};
}

static int prepare(plan *base, const void *wanted, const plan *like, ls_error *error) {
    (void)like;
    const batchnorm2d_shape *shape = wanted;
    norm_plan *self = (norm_plan *)base;
    int planes = layout_plane_channels(shape->layout);
    LS_TRY(cpu_check_type("batchnorm2d", shape->type, error));
    LS_TRY(plan_refuse_activation(base, shape->activation, error));
    if (planes && shape->channels % planes)
        return ls_fail(error, LS_FAILED,
                       "device cpu: batchnorm2d: %d channels fill no planes of %d", shape->channels,
                       planes);
    self->shape = *shape;
    self->view = cpu_norm_view(shape);
    base->saved_bytes = 4 * (size_t)shape->channels * sizeof(float);
    plan_need_workspace(base, scratch_floats(self) * sizeof(float) +
                                  batchnorm2d_sums(shape->channels) * sizeof(double));
    text_add(&base->description, "loop");
    return LS_OK;
}

/* --- what a channel's sums come to, by one thread each */

typedef struct norm_call norm_call;
typedef void tile_loop(const norm_job *job, int block, int tile, float *partial);
typedef void channel_sums(const norm_call *call, int channel);

/* One pass of a call: sums of tiles, what follows from them for each channel, results of tiles;
 * sums and finish, or result, may be NULL. */
struct norm_call {
    const norm_plan *plan;
    const op_arguments *arguments;
    norm_job job;
    saved_channels saved;
    scratch scratch;
    tile_loop *sums;
    channel_sums *finish;
    void (*result)(const norm_job *job, int block, int tile);
};

static const float *partial_of(const norm_call *self, int tile, int block) {
    const norm_view *v = &self->job.view;
    return self->scratch.partial +
           ((size_t)tile * (size_t)v->blocks + (size_t)block) * 3 * (size_t)v->group;
}

static double pixels_of(const norm_view *v, int tile) {
    return (double)(norm_tile_end(v, tile) - (size_t)tile * v->tile);
}

static void move(float *running, double momentum, double to) {
    *running = (float)((1 - momentum) * (double)*running + momentum * to);
}

/* The mean, and the sum of squares around it: each tile's are around a value of its own. */
static double mean_of(const norm_call *self, int block, int lane) {
    const norm_view *v = &self->job.view;
    double total = 0;
    for (int tile = 0; tile < v->tiles; tile++) {
        const float *p = partial_of(self, tile, block) + lane;
        total += pixels_of(v, tile) * (double)p[0] + (double)p[v->group];
    }
    return total / (double)v->pixels;
}

static double squares_of(const norm_call *self, double mean, int block, int lane) {
    const norm_view *v = &self->job.view;
    double total = 0;
    for (int tile = 0; tile < v->tiles; tile++) {
        const float *p = partial_of(self, tile, block) + lane;
        double away = (double)p[0] - mean;
        total +=
            (double)p[2 * v->group] + away * (2 * (double)p[v->group] + pixels_of(v, tile) * away);
    }
    return total > 0 ? total : total < 0 ? 0 : total; /* a NaN stays one */
}

static void scale_channel(const norm_call *self, int channel, double mean, double inverse) {
    self->scratch.mean[channel] = (float)mean;
    self->scratch.scale[channel] =
        (float)((double)self->arguments->parameters[0][channel] * inverse);
}

/* Of a channel; squares: the sum of those around the mean. */
typedef struct moments {
    double count, mean, squares;
} moments;

static moments own_moments(const norm_call *self, int channel) {
    const norm_view *v = &self->job.view;
    double mean = mean_of(self, channel / v->group, channel % v->group);
    return (moments){(double)v->pixels, mean,
                     squares_of(self, mean, channel / v->group, channel % v->group)};
}

/* Over the ranks' parts of the batch. */
static moments all_moments(const norm_call *self, int channel) {
    const double *sums = self->scratch.sums;
    double mean = sums[1 + 2 * channel] / sums[0];
    double squares = sums[2 + 2 * channel] - sums[0] * mean * mean;
    return (moments){sums[0], mean, squares < 0 ? 0 : squares}; /* a NaN stays one */
}

static void finish_sums(const norm_call *self, int channel) {
    moments own = own_moments(self, channel);
    self->scratch.sums[1 + 2 * channel] = own.count * own.mean;
    self->scratch.sums[2 + 2 * channel] = own.squares + own.count * own.mean * own.mean;
}

static void finish_forward(const norm_call *self, int channel) {
    const op_arguments *a = self->arguments;
    const batchnorm2d_shape *shape = &self->plan->shape;
    moments of = a->sums ? all_moments(self, channel) : own_moments(self, channel);
    double unbiased = of.count > 1 ? of.squares / (of.count - 1) : 0;
    double inverse = 1 / sqrt(of.squares / of.count + shape->epsilon);
    move(&a->buffers[0][channel], shape->momentum, of.mean);
    move(&a->buffers[1][channel], shape->momentum, unbiased);
    self->saved.mean[channel] = (float)of.mean;
    self->saved.inverse[channel] = (float)inverse;
    scale_channel(self, channel, of.mean, (double)self->saved.inverse[channel]);
}

static void finish_evaluation(const norm_call *self, int channel) {
    const op_arguments *a = self->arguments;
    double variance = (double)a->buffers[1][channel];
    scale_channel(self, channel, (double)a->buffers[0][channel],
                  1 / sqrt(variance + self->plan->shape.epsilon));
}

static void restore_scale(const norm_call *self, int channel) {
    scale_channel(self, channel, (double)self->saved.mean[channel],
                  (double)self->saved.inverse[channel]);
}

static void finish_gradients(const norm_call *self, int channel) {
    const norm_view *v = &self->job.view;
    double sum = 0, product = 0;
    for (int tile = 0; tile < v->tiles; tile++) {
        const float *p = partial_of(self, tile, channel / v->group) + channel % v->group;
        sum += (double)p[0];
        product += (double)p[v->group];
    }
    product *= (double)self->saved.inverse[channel];
    self->arguments->gradients[0][channel] = (float)product;
    self->arguments->gradients[1][channel] = (float)sum;
    self->scratch.sums[1 + 2 * channel] = sum;
    self->scratch.sums[2 + 2 * channel] = product;
}

static void finish_means(const norm_call *self, int channel) {
    const double *sums = self->scratch.sums;
    self->saved.mean_dy[channel] = (float)(sums[1 + 2 * channel] / sums[0]);
    self->saved.mean_product[channel] = (float)(sums[2 + 2 * channel] / sums[0]);
}

/* dx = gamma / std * (dy - the mean of dy - normalised x * the mean of dy * normalised x). */
static void finish_dx(const norm_call *self, int channel) {
    double inverse = (double)self->saved.inverse[channel];
    double gain = (double)self->arguments->parameters[0][channel] * inverse;
    restore_scale(self, channel);
    self->scratch.slope[channel] =
        (float)(-gain * inverse * (double)self->saved.mean_product[channel]);
    self->scratch.base[channel] = (float)(-gain * (double)self->saved.mean_dy[channel]);
}

/* --- threads */

/* Part `thread` of `threads` of a count. */
static int part_of(int count, int thread, int threads) {
    return (int)((int64_t)count * thread / threads);
}

/* Blocks first to last of a call, by one of all threads. */
static void run_blocks(const norm_call *self, int first, int last, int thread, int threads) {
    const norm_view *v = &self->job.view;
    int tiles = (last - first) * v->tiles, channels = (last - first) * v->group;
    int from = part_of(tiles, thread, threads), to = part_of(tiles, thread + 1, threads);
    for (int i = from; self->sums && i < to; i++) {
        int block = first + i / v->tiles, tile = i % v->tiles;
        self->sums(&self->job, block, tile, (float *)partial_of(self, tile, block));
    }
#pragma omp barrier
    int end = part_of(channels, thread + 1, threads);
    for (int c = part_of(channels, thread, threads); c < end; c++)
        self->finish(self, first * v->group + c);
#pragma omp barrier
    for (int i = to - 1; self->result && i >= from; i--)
        self->result(&self->job, first + i / v->tiles, i % v->tiles);
}

static void run(const norm_call *self) {
    const norm_view *v = &self->job.view;
    size_t bytes = v->pixels * (size_t)v->group * dtype_bytes(self->job.type);
#pragma omp parallel
    {
        int threads = omp_get_num_threads(), thread = omp_get_thread_num();
        size_t fit = SLAB_BYTES * (size_t)threads / (bytes ? bytes : 1);
        bool all = !self->sums || !self->result || fit > (size_t)v->blocks;
        int slab = all ? v->blocks : fit < 1 ? 1 : (int)fit;
        for (int first = 0; first < v->blocks; first += slab)
            run_blocks(self, first, first + slab < v->blocks ? first + slab : v->blocks, thread,
                       threads);
    }
}

static norm_call call_of(plan *base, const op_arguments *a) {
    norm_plan *self = (norm_plan *)base;
    const batchnorm2d_shape *shape = &self->shape;
    norm_call out = {.plan = self,
                     .arguments = a,
                     .saved = saved_of(self, a->saved),
                     .scratch = scratch_of(self, a->workspace)};
    bool relu = shape->activation == ACTIVATION_RELU;
    if (a->sums)
        out.scratch.sums = a->sums->values;
    out.job = (norm_job){.view = self->view,
                         .type = shape->type,
                         .x = a->x[0],
                         .other = shape->joins ? a->x[1] : NULL,
                         .y = a->y,
                         .dy = a->dy,
                         .dx = a->dx[0],
                         .channels = {.mean = out.scratch.mean,
                                      .scale = out.scratch.scale,
                                      .beta = a->parameters[1]},
                         .mask = !relu          ? NORM_UNMASKED
                                 : shape->joins ? NORM_MASKED_BY_Y
                                                : NORM_MASKED_BY_X,
                         .relu = relu};
    return out;
}

/* Where all rows are whole vectors: a line that is written by parts is read first all the same. */
static bool streams(const norm_job *job, const void *to) {
    const norm_view *v = &job->view;
    size_t bytes = v->pixels * (size_t)v->channels * dtype_bytes(job->type);
    bool whole = v->period % NORM_PERIOD == 0 &&
                 (v->period == (size_t)v->group || v->run % NORM_PERIOD == 0);
    return whole && stream_serves(to, bytes);
}

/* This rank's sums become all ranks'. */
static int add_up(const norm_call *call, ls_error *error) {
    const op_sums *with = call->arguments->sums;
    call->scratch.sums[0] = (double)call->job.view.pixels;
    if (!with)
        return LS_OK;
    return with->add_up(with->context, batchnorm2d_sums(call->job.view.channels), error);
}

static int forward(plan *base, const op_arguments *a, ls_error *error) {
    norm_call call = call_of(base, a);
    bool finds = a->training && !a->again; /* statistics, that is */
    call.sums = finds ? cpu_norm_sums : NULL;
    if (finds && a->sums) {
        call.finish = finish_sums;
        run(&call);
        LS_TRY(add_up(&call, error));
        call.sums = NULL;
    }
    call.finish = a->again ? restore_scale : finds ? finish_forward : finish_evaluation;
    call.result = cpu_norm_forward;
    call.job.streams = streams(&call.job, a->y);
    run(&call);
    return LS_OK;
}

static int backward_parameters(plan *base, const op_arguments *a, ls_error *error) {
    norm_call call = call_of(base, a);
    call.job.masked_dy = call.job.other ? a->dx[1] : NULL;
    call.sums = cpu_norm_backward_sums;
    call.finish = finish_gradients;
    for (int channel = 0; channel < call.job.view.channels; channel++)
        restore_scale(&call, channel);
    run(&call);
    LS_TRY(add_up(&call, error));
    for (int channel = 0; channel < call.job.view.channels; channel++)
        finish_means(&call, channel);
    return LS_OK;
}

static int backward_inputs(plan *base, const op_arguments *a, ls_error *error) {
    (void)error;
    norm_call call = call_of(base, a);
    if (!a->dx[0])
        return LS_OK;
    if (call.job.other && a->dx[1]) {
        call.job.dy = a->dx[1];
        call.job.mask = NORM_UNMASKED;
    }
    call.job.channels.slope = call.scratch.slope;
    call.job.channels.base = call.scratch.base;
    call.finish = finish_dx;
    call.result = cpu_norm_backward;
    call.job.streams = streams(&call.job, a->dx[0]);
    run(&call);
    return LS_OK;
}

const op cpu_batchnorm2d = {
    .kind = &op_batchnorm2d,
    .plan_bytes = sizeof(norm_plan),
    .prepare = prepare,
    .forward = forward,
    .backward_parameters = backward_parameters,
    .backward_inputs = backward_inputs,
};
