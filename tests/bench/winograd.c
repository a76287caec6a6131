/* 3 x 3 convolutions of stride 1 in fp32: our Winograd over oneDNN's direct convolution and over
 * oneDNN's Winograd where it has one, side by side in one process (round after round, so that
 * whatever else the machine does hits all). Medians, in milliseconds, of each direction, and ratios
 * of their sums; and the largest error of each, over the largest value, against the same in double.
 * DNNL_MAX_CPU_ISA (ONEDNN_MAX_CPU_ISA) limits all of them alike.
 *
 *   winograd [THREADS [ROUNDS]] */
#include "base/clock.h"
#include "base/random.h"
#include "device/cpu/cpu.h"
#include "tests/support/op_calls.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct layer {
    int n, in, out, pixels;
    bool resnet; /* counts in the mean */
} layer;

static const layer layers[] = {{64, 64, 128, 16, false},
                               {32, 64, 64, 56, true},
                               {32, 128, 128, 28, true},
                               {32, 256, 256, 14, true},
                               {32, 512, 512, 7, true}};

enum { FORWARD, DATA, WEIGHTS, PACK, PARTS, MAX_ROUNDS = 100, WAYS = 3 };
static const char *const part_names[] = {"forward", "data", "weights", "packing"};
static const cpu_conv2d_algorithm ways[WAYS] = {CPU_CONV2D_OWN_WINOGRAD, CPU_CONV2D_LIBRARY_DIRECT,
                                                CPU_CONV2D_LIBRARY_WINOGRAD};
static const char *const way_names[WAYS] = {"own Winograd", "direct", "library's Winograd"};

static void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "winograd: %s\n", error->text);
    exit(status);
}

static float *filled(device *device, size_t count, uint64_t stream, float scale) {
    ls_error error = {0};
    void *out;
    must(device->is->allocate(device, count * sizeof(float), "a bench", &out, &error), &error);
    for (size_t i = 0; stream && i < count; i += 4) {
        uint32_t bits[4];
        random_block(1, RANDOM_SYNTHETIC, stream, i, bits);
        for (size_t k = 0; k < 4 && i + k < count; k++)
            ((float *)out)[i + k] = ((float)(bits[k] >> 8) * 0x1p-23f - 1) * scale;
    }
    return out;
}

typedef struct arrays {
    float *x, *weights, *bias, *y, *dy, *dx, *dweights, *dbias;
} arrays;

/* One implementation of the layer: `plan` is NULL where the library has none. */
typedef struct candidate {
    plan *plan;
    float *packed, *workspace;
    double seconds[PARTS][MAX_ROUNDS];
    double sums[MAX_ROUNDS]; /* of the three directions */
} candidate;

static void run_part(candidate *c, int part, arrays *a) {
    ls_error error = {0};
    int status;
    if (part == FORWARD)
        status = weighted_forward(c->plan, NULL, a->x, a->weights, c->packed, a->bias, a->y,
                                  c->workspace, &error);
    else if (part == DATA)
        status = weighted_backward_inputs(c->plan, NULL, a->dy, a->weights, c->packed, a->dx,
                                          c->workspace, &error);
    else if (part == WEIGHTS)
        status = weighted_backward_parameters(c->plan, NULL, a->x, a->dy, a->dweights, a->dbias,
                                              c->workspace, &error);
    else
        status = plan_pack(c->plan, NULL, 0, a->weights, c->packed, &error);
    must(status, &error);
}

static void prepare(device *device, const layer *l, cpu_conv2d_algorithm way, candidate *out) {
    ls_error error = {0};
    tensor_layout in = device->is->ops->choose_layout(device, LAYOUT_ROLE_IMAGE, l->in, DTYPE_F32);
    tensor_layout to = device->is->ops->choose_layout(device, LAYOUT_ROLE_IMAGE, l->out, DTYPE_F32);
    conv2d_shape shape = {.n = l->n,
                          .height = l->pixels,
                          .width = l->pixels,
                          .in_channels = l->in,
                          .out_channels = l->out,
                          .kernel = 3,
                          .stride = 1,
                          .padding = 1,
                          .in_layout = in,
                          .out_layout = to,
                          .activation = ACTIVATION_RELU,
                          .need_dx = true};
    ((cpu_device *)device)->convolutions = way;
    if (op_prepare(device, &op_conv2d, &shape, NULL, &out->plan, &error) != LS_OK) {
        out->plan = NULL;
        return;
    }
    if (strstr(plan_describe(out->plan), "ref")) { /* seconds, and no comparison */
        plan_release(out->plan);
        out->plan = NULL;
        return;
    }
    out->packed = filled(device, out->plan->packed[0].bytes / sizeof(float), 0, 0);
    out->workspace = filled(device, out->plan->workspace_bytes / sizeof(float), 0, 0);
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double largest_difference(const float *a, const float *b, size_t count) {
    double most = 0, scale = 0;
    for (size_t i = 0; i < count; i++) {
        most = fmax(most, fabs((double)a[i] - (double)b[i]));
        scale = fmax(scale, fabs((double)b[i]));
    }
    return scale > 0 ? most / scale : 0;
}

/* Of this machine's median over the rounds: what `over` takes, in units of what `own` takes. */
static double ratio(const candidate *own, const candidate *over, int rounds) {
    double ratios[MAX_ROUNDS];
    for (int round = 0; round < rounds; round++)
        ratios[round] = over->sums[round] / own->sums[round];
    return median(ratios, rounds);
}

static void measure(candidate *candidates, arrays *a, int rounds) {
    for (int round = -1; round < rounds; round++)
        for (int way = 0; way < WAYS; way++) {
            candidate *c = &candidates[way];
            if (!c->plan)
                continue;
            double sum = 0;
            for (int part = PARTS - 1; part >= 0; part--) {
                double start = clock_seconds();
                run_part(c, part, a);
                double seconds = clock_seconds() - start;
                sum += part == PACK ? 0 : seconds;
                if (round >= 0)
                    c->seconds[part][round] = seconds;
            }
            if (round >= 0)
                c->sums[round] = sum;
        }
}

/* Of y, dx and dweights from those of the direct convolution. */
static void print_errors(device *device, candidate *candidates, const layer *l, arrays *a) {
    size_t in = (size_t)(l->n * l->in * l->pixels * l->pixels), taps = (size_t)(9 * l->in * l->out);
    size_t out = (size_t)(l->n * l->out * l->pixels * l->pixels);
    arrays direct = *a;
    direct.y = filled(device, out, 0, 0), direct.dx = filled(device, in, 0, 0);
    direct.dweights = filled(device, taps, 0, 0);
    for (int part = PACK; part >= 0; part--)
        run_part(&candidates[1], part, &direct);
    for (int way = 0; way < WAYS; way += 2) {
        if (!candidates[way].plan)
            continue;
        for (int part = PACK; part >= 0; part--)
            run_part(&candidates[way], part, a);
        printf("  %-20s differs from direct by up to: y %.1e, dx %.1e, dweights %.1e\n",
               way_names[way], largest_difference(a->y, direct.y, out),
               largest_difference(a->dx, direct.dx, in),
               largest_difference(a->dweights, direct.dweights, taps));
    }
    device->is->release(device, direct.y), device->is->release(device, direct.dx);
    device->is->release(device, direct.dweights);
}

static void bench(device *device, const layer *l, int rounds, double *over) {
    static candidate candidates[WAYS];
    memset(candidates, 0, sizeof candidates);
    size_t image = (size_t)l->pixels * (size_t)l->pixels * (size_t)l->n;
    size_t in = image * (size_t)l->in, out = image * (size_t)l->out;
    size_t taps = (size_t)(9 * l->in * l->out);
    arrays a = {filled(device, in, 1, 1),
                filled(device, taps, 2, 0.1f),
                filled(device, (size_t)l->out, 3, 1),
                filled(device, out, 0, 0),
                filled(device, out, 4, 1),
                filled(device, in, 0, 0),
                filled(device, taps, 0, 0),
                filled(device, (size_t)l->out, 0, 0)};
    for (int way = 0; way < WAYS; way++)
        prepare(device, l, ways[way], &candidates[way]);
    measure(candidates, &a, rounds);
    double gflop = 2.0 * 9 * (double)image * l->in * l->out / 1e9;
    printf("%d -> %d channels, %d x %d, batch %d\n", l->in, l->out, l->pixels, l->pixels, l->n);
    for (int way = 0; way < WAYS; way++) {
        candidate *c = &candidates[way];
        over[way] = c->plan ? ratio(&candidates[0], c, rounds) : 0;
        if (!c->plan)
            continue;
        printf("  %-20s", way_names[way]);
        for (int part = 0; part < PARTS; part++) {
            double seconds = median(c->seconds[part], rounds);
            printf(" %s %.2f", part_names[part], seconds * 1e3);
            if (part != PACK)
                printf(" (%.0f)", gflop / seconds);
        }
        printf("  over ours %.2f  [%s]\n", over[way], plan_describe(c->plan));
    }
    if (candidates[1].plan)
        print_errors(device, candidates, l, &a);
    for (int way = 0; way < WAYS; way++)
        if (candidates[way].plan) {
            plan_release(candidates[way].plan);
            device->is->release(device, candidates[way].packed);
            device->is->release(device, candidates[way].workspace);
        }
    float *all[] = {a.x, a.weights, a.bias, a.y, a.dy, a.dx, a.dweights, a.dbias};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        device->is->release(device, all[i]);
}

int main(int argc, char **argv) {
    int threads = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 9;
    if (threads < 1 || rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "winograd: expected THREADS and ROUNDS (at most %d)\n", MAX_ROUNDS);
        return 2;
    }
    ls_error error = {0};
    device *device;
    device_request request = {.threads = threads};
    must(device_open("cpu", &request, &device, &error), &error);
    printf("%s, %s, %d thread(s), medians of %d interleaved rounds: ms (GFLOP/s of the direct "
           "algorithm)\n",
           device->facts.name, device->facts.library, threads, rounds);
    double direct = 0, library = 0, over[WAYS];
    int counted = 0;
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        bench(device, &layers[i], rounds, over);
        if (!layers[i].resnet) {
            printf("  direct over ours: %.2f (bar 1.6)\n", over[1]);
            if (over[2] > 0)
                printf("  the library's Winograd over ours: %.2f (bar 1.0)\n", over[2]);
            continue;
        }
        direct += over[1], library += over[2], counted++;
    }
    printf("ResNet-18's shapes, the mean: direct over ours %.2f (bar 1.3)", direct / counted);
    if (library > 0)
        printf(", the library's Winograd over ours %.2f (bar 1.0)", library / counted);
    printf("\n");
    device_close(device);
    return 0;
}
