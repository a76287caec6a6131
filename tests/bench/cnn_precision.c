/* The CNN's training step in a low precision over the same step in fp32, side by side in one
 * process, round after round: medians, and the median of the rounds' ratios. Wall time, and the
 * process's CPU time, which other programs on the machine disturb less (with one thread).
 *
 *   cnn_precision PRECISION [DEVICE [THREADS [ROUNDS [BATCH]]]]     (cpu, 1, 15, 64) */
#include "base/clock.h"
#include "base/random.h"
#include "cnn_step.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { IMAGE = CNN_HEIGHT * CNN_WIDTH * CNN_CHANNELS, STEPS_A_ROUND = 4, MAX_ROUNDS = 1000 };

static void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "cnn_precision: %s\n", error->text);
    exit(status);
}

typedef struct batch {
    uint8_t *images;
    int32_t *labels;
} batch;

static batch random_batch(int count) {
    batch self = {malloc((size_t)count * IMAGE), malloc((size_t)count * sizeof(int32_t))};
    if (!self.images || !self.labels)
        abort();
    for (size_t i = 0; i < (size_t)count * IMAGE; i++) {
        uint32_t bits[4];
        random_block(1, RANDOM_SYNTHETIC, 0, i, bits);
        self.images[i] = (uint8_t)(bits[0] >> 24);
    }
    for (int n = 0; n < count; n++)
        self.labels[n] = n % CNN_CLASSES;
    return self;
}

static void open_step(cnn_step *step, const char *device, precision precision, int threads,
                      int count) {
    ls_error error = {0};
    must(cnn_step_open(step, device, precision, threads, count, &error), &error);
    float *parameters = calloc(step->graph.parameter_count, sizeof *parameters);
    if (!parameters)
        abort();
    network_initialise(&step->graph, 1, parameters);
    must(cnn_step_load(step, parameters, &error), &error);
    free(parameters);
}

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

typedef struct cost {
    double wall, cpu; /* seconds a step */
} cost;

static cost one_round(cnn_step *step, const batch *in) {
    ls_error error = {0};
    double wall = clock_seconds(), cpu = cpu_seconds();
    for (int i = 0; i < STEPS_A_ROUND; i++)
        must(cnn_step_run(step, in->images, in->labels, &error), &error);
    return (cost){(clock_seconds() - wall) / STEPS_A_ROUND, (cpu_seconds() - cpu) / STEPS_A_ROUND};
}

static double mean_loss(cnn_step *step) {
    ls_error error = {0};
    loss_totals totals;
    must(cnn_step_take_totals(step, &totals, &error), &error);
    return totals.loss_sum / (double)totals.samples;
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static void report(const char *name, double *fp32, double *low, int rounds) {
    double ratios[MAX_ROUNDS];
    for (int i = 0; i < rounds; i++)
        ratios[i] = fp32[i] / low[i];
    double ratio = median(ratios, rounds);
    printf("%-10s %10.2f %10.2f %8.2f  (%.2f to %.2f)\n", name, 1e3 * median(fp32, rounds),
           1e3 * median(low, rounds), ratio, ratios[0], ratios[rounds - 1]);
}

int main(int argc, char **argv) {
    static cnn_step fp32, low;
    static double fp32_wall[MAX_ROUNDS], low_wall[MAX_ROUNDS];
    static double fp32_cpu[MAX_ROUNDS], low_cpu[MAX_ROUNDS];
    const char *name = argc > 1 ? argv[1] : "", *device = argc > 2 ? argv[2] : "cpu";
    int threads = argc > 3 ? atoi(argv[3]) : 1, rounds = argc > 4 ? atoi(argv[4]) : 15;
    int count = argc > 5 ? atoi(argv[5]) : 64;
    if (precision_of(name) == PRECISION_FP32 || threads < 1 || rounds < 1 || rounds > MAX_ROUNDS ||
        count < 1) {
        fprintf(stderr, "cnn_precision: expected bf16, fp16 or tf32 [DEVICE [THREADS [ROUNDS (at "
                        "most 1000) [BATCH]]]]\n");
        return 2;
    }
    batch in = random_batch(count);
    open_step(&fp32, device, PRECISION_FP32, threads, count);
    open_step(&low, device, precision_of(name), threads, count);
    one_round(&fp32, &in), one_round(&low, &in);
    mean_loss(&fp32), mean_loss(&low);
    for (int round = 0; round < rounds; round++) {
        cost a = one_round(&fp32, &in), b = one_round(&low, &in);
        fp32_wall[round] = a.wall, fp32_cpu[round] = a.cpu;
        low_wall[round] = b.wall, low_cpu[round] = b.cpu;
    }
    printf("device %s (%s), batch %d, %d thread(s), medians of %d interleaved rounds of %d steps\n",
           device, low.device->facts.library, count, threads, rounds, STEPS_A_ROUND);
    printf("%-10s %10s %7s ms %8s  (range)\n", "a step", "fp32 ms", name, "ratio");
    report("wall", fp32_wall, low_wall, rounds);
    report("CPU", fp32_cpu, low_cpu, rounds);
    printf("mean loss of these steps: fp32 %.4f, %s %.4f\n", mean_loss(&fp32), name,
           mean_loss(&low));
    free(in.images), free(in.labels);
    cnn_step_close(&fp32), cnn_step_close(&low);
    return 0;
}
