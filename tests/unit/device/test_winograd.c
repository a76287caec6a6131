/* Winograd's convolutions against sums in double, at points taken at random: shapes that no tile
 * and no block divides, padding 0 to 2, channels in planes and channels last, ResNet-18's layers;
 * and the same bits on any number of threads. What runs is the vectors that DNNL_MAX_CPU_ISA
 * leaves. */
#include "../check.h"
#include "base/random.h"
#include "device/cpu/winograd.h"
#include "tests/support/op_calls.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

enum { POINTS = 400, MOST_THREADS = 3 };

/* Errors are bounded by this much of the largest value: with tiles of 4 x 4, and of 2 x 2, whose
 * transforms lose less. The direct algorithm in fp32 stays below 1e-6 here. */
static const double bound_large = 1.5e-5, bound_small = 3e-6;

static float *values(size_t count, uint64_t stream) {
    size_t bytes = (count * sizeof(float) + 64) / 64 * 64;
    float *out = aligned_alloc(64, bytes);
    if (!out)
        abort();
    for (size_t i = 0; i < count; i += 4) {
        uint32_t bits[4];
        random_block(7, RANDOM_SYNTHETIC, stream, i, bits);
        for (size_t k = 0; k < 4 && i + k < count; k++)
            out[i + k] = (float)(bits[k] >> 8) * 0x1p-23f - 1;
    }
    return out;
}

static int below(uint64_t stream, uint64_t index, int limit) {
    uint32_t bits[4];
    random_block(9, RANDOM_SYNTHETIC, stream, index, bits);
    return (int)(bits[0] % (uint32_t)limit);
}

typedef struct arrays {
    float *x, *dy, *weights, *bias;      /* in */
    float *y, *dx, *dweights, *dbias;    /* out */
    float *forward, *backward, *scratch; /* packed weights, workspace */
} arrays;

static size_t samples(const winograd_pass *pass, size_t sample) {
    return (size_t)pass->n * sample / sizeof(float);
}

static arrays arrays_of(const winograd *w) {
    const winograd_pass *f = &w->forward;
    size_t in = (size_t)f->from.channels, out = (size_t)f->to.channels;
    size_t x = samples(f, f->from_sample), y = samples(f, f->to_sample);
    return (arrays){.x = values(x, 1),
                    .dy = values(y, 2),
                    .weights = values(9 * in * out, 3),
                    .bias = values(out, 4),
                    .y = values(y, 5),
                    .dx = values(x, 6),
                    .dweights = values(9 * in * out, 7),
                    .dbias = values(out, 8),
                    .forward = values(cpu_winograd_packed_bytes(f) / sizeof(float), 9),
                    .backward = values(cpu_winograd_packed_bytes(&w->backward) / sizeof(float), 10),
                    .scratch = values(cpu_winograd_workspace_bytes(w) / sizeof(float), 11)};
}

static void release(arrays *a) {
    float *all[] = {a->x,        a->dy,    a->weights, a->bias,     a->y,      a->dx,
                    a->dweights, a->dbias, a->forward, a->backward, a->scratch};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        free(all[i]);
}

static void run(const winograd *w, arrays *a, int threads) {
    omp_set_num_threads(threads);
    cpu_winograd_pack_forward(w, a->weights, a->forward);
    cpu_winograd_pack_backward(w, a->weights, a->backward);
    cpu_winograd_run(w, &w->forward, a->x, a->forward, a->bias, a->y, a->scratch);
    cpu_winograd_run(w, &w->backward, a->dy, a->backward, NULL, a->dx, a->scratch);
    cpu_winograd_backward_weights(w, a->x, a->dy, a->dweights, a->dbias, a->scratch);
}

/* Of sample n; zero outside. */
static double pixel(const winograd_image *image, const float *array, size_t n, size_t sample,
                    int row, int column, int channel) {
    if (row < 0 || row >= image->height || column < 0 || column >= image->width)
        return 0;
    return (double)
        array[n * sample / sizeof(float) + (size_t)row * image->row +
              (size_t)column * image->column + (size_t)(channel / image->lanes) * image->plane +
              (size_t)(channel % image->lanes)];
}

typedef struct worst {
    double error, scale;
} worst;

static void take(worst *w, double got, double want) {
    w->error = fmax(w->error, fabs(got - want));
    w->scale = fmax(w->scale, fabs(want));
}

static worst check_forward(const winograd_pass *p, const arrays *a) {
    worst out = {0, 0};
    int in = p->from.channels;
    for (uint64_t i = 0; i < POINTS; i++) {
        int n = below(20, i, p->n), row = below(21, i, p->to.height);
        int column = below(22, i, p->to.width), channel = below(23, i, p->to.channels);
        double sum = (double)a->bias[channel];
        for (int tap = 0; tap < 9; tap++)
            for (int c = 0; c < in; c++)
                sum += (double)a->weights[(channel * 9 + tap) * in + c] *
                       pixel(&p->from, a->x, (size_t)n, p->from_sample, row + tap / 3 - p->padding,
                             column + tap % 3 - p->padding, c);
        take(&out, pixel(&p->to, a->y, (size_t)n, p->to_sample, row, column, channel),
             p->relu && sum < 0 ? 0 : sum);
    }
    return out;
}

static worst check_data(const winograd_pass *p, const arrays *a) {
    worst out = {0, 0};
    int in = p->from.channels;
    for (uint64_t i = 0; i < POINTS; i++) {
        int n = below(30, i, p->n), row = below(31, i, p->from.height);
        int column = below(32, i, p->from.width), channel = below(33, i, in);
        double sum = 0;
        for (int tap = 0; tap < 9; tap++)
            for (int k = 0; k < p->to.channels; k++)
                sum += (double)a->weights[(k * 9 + tap) * in + channel] *
                       pixel(&p->to, a->dy, (size_t)n, p->to_sample, row - tap / 3 + p->padding,
                             column - tap % 3 + p->padding, k);
        take(&out, pixel(&p->from, a->dx, (size_t)n, p->from_sample, row, column, channel), sum);
    }
    return out;
}

static double weight_gradient(const winograd_pass *p, const arrays *a, int k, int tap, int c) {
    double sum = 0;
    for (int n = 0; n < p->n; n++)
        for (int row = 0; row < p->to.height; row++)
            for (int column = 0; column < p->to.width; column++)
                sum += pixel(&p->to, a->dy, (size_t)n, p->to_sample, row, column, k) *
                       pixel(&p->from, a->x, (size_t)n, p->from_sample, row + tap / 3 - p->padding,
                             column + tap % 3 - p->padding, c);
    return sum;
}

static worst check_weights(const winograd_pass *p, const arrays *a) {
    worst out = {0, 0};
    int in = p->from.channels;
    for (uint64_t i = 0; i < POINTS; i++) {
        int k = below(40, i, p->to.channels), tap = below(41, i, 9), c = below(42, i, in);
        take(&out, (double)a->dweights[(k * 9 + tap) * in + c], weight_gradient(p, a, k, tap, c));
    }
    return out;
}

static worst check_bias(const winograd_pass *p, const arrays *a) {
    worst out = {0, 0};
    for (int k = 0; k < p->to.channels; k++) {
        double sum = 0;
        for (int n = 0; n < p->n; n++)
            for (int row = 0; row < p->to.height; row++)
                for (int column = 0; column < p->to.width; column++)
                    sum += pixel(&p->to, a->dy, (size_t)n, p->to_sample, row, column, k);
        take(&out, (double)a->dbias[k], sum);
    }
    return out;
}

static void within(const char *what, worst found, double bound) {
    CHECK(found.scale > 0 && found.error <= bound * found.scale, "%s: off by %.1e of %.1e", what,
          found.error, found.scale);
}

static bool same(const float *a, const float *b, size_t count) {
    return memcmp(a, b, count * sizeof *a) == 0;
}

static void same_bits(const winograd *w, arrays *a, int threads) {
    const winograd_pass *f = &w->forward;
    arrays again = arrays_of(w);
    run(w, &again, threads);
    CHECK(same(a->y, again.y, samples(f, f->to_sample)), "y has other bits on %d threads", threads);
    CHECK(same(a->dx, again.dx, samples(f, f->from_sample)), "dx has other bits on %d threads",
          threads);
    CHECK(same(a->dweights, again.dweights, 9 * (size_t)(f->from.channels * f->to.channels)) &&
              same(a->dbias, again.dbias, (size_t)f->to.channels),
          "gradients of weights have other bits on %d threads", threads);
    release(&again);
}

static void one_shape(const conv2d_shape *shape) {
    winograd w;
    if (!cpu_winograd_choose(shape, MOST_THREADS, &w)) {
        CHECK(false, "no Winograd for %d -> %d", shape->in_channels, shape->out_channels);
        return;
    }
    arrays a = arrays_of(&w);
    run(&w, &a, 1);
    double forward = w.forward.kernels->size == 4 ? bound_large : bound_small;
    double backward = w.backward.kernels->size == 4 ? bound_large : bound_small;
    within("y", check_forward(&w.forward, &a), forward);
    within("dx", check_data(&w.forward, &a), backward);
    within("dweights", check_weights(&w.forward, &a), forward);
    within("dbias", check_bias(&w.forward, &a), 1e-6);
    for (int threads = 2; threads <= MOST_THREADS; threads++)
        same_bits(&w, &a, threads);
    release(&a);
    char name[160];
    snprintf(name, sizeof name, "%s, [%d,%d,%d,%d] -> %d, padding %d%s, %s",
             w.forward.kernels->name, shape->n, shape->height, shape->width, shape->in_channels,
             shape->out_channels, shape->padding, shape->activation ? ", ReLU" : "",
             shape->in_layout == LAYOUT_NHWC ? "channels last" : "planes");
    check_case(name);
}

int main(void) {
    static const int shapes[][6] = {
        /* n, height, width, in, out, padding */
        {3, 16, 16, 64, 128, 1},  {1, 56, 56, 64, 64, 1}, {2, 28, 28, 128, 128, 1},
        {2, 14, 14, 256, 256, 1}, {3, 7, 7, 512, 512, 1}, {5, 9, 13, 48, 80, 0},
        {4, 7, 10, 16, 32, 2},    {7, 5, 5, 32, 16, 1},   {3, 2, 1, 16, 48, 1},
        {2, 3, 3, 32, 32, 0},     {70, 6, 2, 16, 16, 1}};
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        for (int last = 0; last < 2; last++) {
            tensor_layout layout = last ? LAYOUT_NHWC : LAYOUT_NCHW16C;
            conv2d_shape shape = {.n = shapes[i][0],
                                  .height = shapes[i][1],
                                  .width = shapes[i][2],
                                  .in_channels = shapes[i][3],
                                  .out_channels = shapes[i][4],
                                  .kernel = 3,
                                  .stride = 1,
                                  .padding = shapes[i][5],
                                  .in_layout = layout,
                                  .out_layout = i % 3 == 1 ? LAYOUT_NHWC : layout,
                                  .activation = relu_where(i % 2 == 0),
                                  .need_dx = true};
            one_shape(&shape);
        }
    return check_done();
}
