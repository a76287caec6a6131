/* The CNN's training step on demand, for gpu_peer.py: reads a number of steps a line, runs them,
 * and answers with the seconds they took. The data set lies on the device; where the device has
 * graphs, a step is one.
 *
 *   step_rate DEVICE PRECISION BATCH [THREADS] */
#include "base/clock.h"
#include "cnn_resident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 50000 }; /* as CIFAR-10 has */

static void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "step_rate: %s\n", error->text);
    exit(status);
}

int main(int argc, char **argv) {
    static cnn_resident cnn;
    ls_error error = {0};
    int steps, batch = argc > 3 ? atoi(argv[3]) : 0, threads = argc > 4 ? atoi(argv[4]) : 1;
    if (batch < 1 || batch > IMAGES || threads < 1 || !strstr("|" PRECISION_CHOICES "|", argv[2])) {
        fprintf(stderr, "usage: step_rate DEVICE " PRECISION_CHOICES " BATCH [THREADS]\n");
        return 2;
    }
    int images = strcmp(argv[1], "cuda") == 0 ? IMAGES : 4 * batch;
    must(cnn_resident_open(&cnn, argv[1], precision_of(argv[2]), threads, batch, images, &error),
         &error);
    printf("%s\n", cnn.graph ? "graph" : "eager");
    fflush(stdout);
    while (scanf("%d", &steps) == 1) {
        double start = clock_seconds();
        must(cnn_resident_run(&cnn, steps, &error), &error);
        printf("%.9f\n", clock_seconds() - start);
        fflush(stdout);
    }
    cnn_resident_close(&cnn);
    return 0;
}
