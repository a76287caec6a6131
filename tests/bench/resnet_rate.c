/* A model's training step on demand, for resnet.py: batches of uint8 images in memory,
 * SGD with momentum, device cpu. Prints the step's multiplications and additions; then reads a
 * number of steps a line, runs them, and answers with the seconds and the processor's seconds that
 * they took, their mean loss, and the peak memory of the process so far in bytes. A line "rate"
 * is answered with the device's own rate of large products, in flop a second.
 *
 *   resnet_rate MODEL SIDE BATCH CLASSES THREADS PRECISION */
#include "base/clock.h"
#include "base/random.h"
#include "cnn_step.h"
#include "model/work.h"
#include "trace/rates.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

static ls_error error;

static void must(int status) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "resnet_rate: %s\n", error.text);
    exit(status);
}

static void *memory(size_t bytes) {
    void *out = malloc(bytes);
    if (!out)
        exit(LS_FAILED);
    return out;
}

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static double peak_bytes(void) {
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return 1024.0 * (double)usage.ru_maxrss;
}

/* Of a step: each layer forward and back, but for the gradient of the images. */
static double step_flop(const cnn_step *step, precision precision) {
    double total = 0;
    for (int layer = 0; layer < step->graph.layer_count; layer++)
        for (int pass = PASS_FORWARD; pass <= PASS_BACKWARD_WEIGHTS; pass++)
            total += layer_work(&step->graph, layer, (layer_pass_kind)pass, step->batch,
                                precision_type(precision))
                         .flop;
    return total;
}

static void begin(cnn_step *step) {
    float *parameters = memory(step->graph.parameter_count * sizeof *parameters);
    network_initialise(&step->graph, 1, parameters);
    must(cnn_step_load(step, parameters, &error));
    free(parameters);
}

static void run(cnn_step *step, int steps, const uint8_t *images, const int32_t *labels) {
    loss_totals totals;
    double start = clock_seconds(), before = processor_seconds();
    for (int i = 0; i < steps; i++)
        must(cnn_step_run(step, images, labels, &error));
    double taken = clock_seconds() - start, processor = processor_seconds() - before;
    must(cnn_step_take_totals(step, &totals, &error));
    printf("%.9f %.9f %.6f %.0f\n", taken, processor, totals.loss_sum / (double)totals.samples,
           peak_bytes());
}

static void answer(cnn_step *step, precision precision, const uint8_t *images,
                   const int32_t *labels) {
    char line[32];
    device_rates rates;
    while (fgets(line, sizeof line, stdin)) {
        if (strcmp(line, "rate\n") == 0) {
            must(device_rates_measure(step->device, step->stream, precision, &rates, &error));
            printf("%.0f\n", rates.flop_per_second);
        } else {
            run(step, atoi(line), images, labels);
        }
        fflush(stdout);
    }
}

int main(int argc, char **argv) {
    static cnn_step step;
    if (argc != 7 || !strstr("|" PRECISION_CHOICES "|", argv[6])) {
        fprintf(stderr,
                "usage: resnet_rate MODEL SIDE BATCH CLASSES THREADS " PRECISION_CHOICES "\n");
        return 2;
    }
    int side = atoi(argv[2]), batch = atoi(argv[3]), classes = atoi(argv[4]);
    cnn_step_model model = {argv[1], side, side, 3, classes};
    precision precision = precision_of(argv[6]);
    must(cnn_step_open_model(
        &step, &model, "cpu", precision, atoi(argv[5]), batch,
        "--optimizer sgd --learning-rate 0.01 --momentum 0.9 --weight-decay 1e-4", 1 << 20,
        &error));
    begin(&step);
    size_t pixels = (size_t)batch * (size_t)side * (size_t)side * 3;
    uint8_t *images = memory(pixels + 4);
    int32_t *labels = memory((size_t)batch * sizeof *labels);
    for (size_t i = 0; i < pixels; i += 4) {
        uint32_t bits[4];
        random_block(1, RANDOM_SYNTHETIC, 0, i, bits);
        for (size_t k = 0; k < 4; k++)
            images[i + k] = (uint8_t)(bits[k] >> 24);
    }
    for (int i = 0; i < batch; i++)
        labels[i] = i % classes;
    printf("%.0f\n", step_flop(&step, precision));
    fflush(stdout);
    answer(&step, precision, images, labels);
    free(images), free(labels);
    cnn_step_close(&step);
    return 0;
}
