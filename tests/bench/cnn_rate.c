/* The CNN's training step on demand, for peer.py: reads a number of steps a line, runs them, and
 * answers with the seconds they took. Batch 64, cpu device.
 *
 *   cnn_rate THREADS [PRECISION]     (fp32) */
#include "base/clock.h"
#include "base/random.h"
#include "cnn_step.h"

#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 64, IMAGE = CNN_HEIGHT * CNN_WIDTH * CNN_CHANNELS };

static void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "cnn_rate: %s\n", error->text);
    exit(status);
}

int main(int argc, char **argv) {
    static cnn_step step;
    static uint8_t images[BATCH * IMAGE];
    static int32_t labels[BATCH];
    ls_error error = {0};
    int steps;
    precision precision = precision_of(argc > 2 ? argv[2] : "fp32");
    must(cnn_step_open(&step, "cpu", precision, argc > 1 ? atoi(argv[1]) : 1, BATCH, &error),
         &error);
    float *parameters = calloc(step.graph.parameter_count, sizeof *parameters);
    if (!parameters)
        return 1;
    network_initialise(&step.graph, 1, parameters);
    must(cnn_step_load(&step, parameters, &error), &error);
    for (int i = 0; i < BATCH * IMAGE; i++) {
        uint32_t bits[4];
        random_block(1, RANDOM_SYNTHETIC, 0, (uint64_t)i, bits);
        images[i] = (uint8_t)(bits[0] >> 24);
        labels[i / IMAGE] = i / IMAGE % CNN_CLASSES;
    }
    while (scanf("%d", &steps) == 1) {
        double start = clock_seconds();
        for (int i = 0; i < steps; i++)
            must(cnn_step_run(&step, images, labels, &error), &error);
        printf("%.9f\n", clock_seconds() - start);
        fflush(stdout);
    }
    free(parameters);
    cnn_step_close(&step);
    return 0;
}
