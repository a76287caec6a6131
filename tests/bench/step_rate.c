/* A training step on demand, for gpu_peer.py: reads a number of steps a line, runs them, and
 * answers with the seconds they took. The data set lies on the device; where the device has graphs,
 * a step is one. The CNN by Adam, or another model by SGD with momentum.
 *
 *   step_rate DEVICE PRECISION BATCH [THREADS [MODEL SIDE CLASSES]] */
#include "base/clock.h"
#include "cnn_resident.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { IMAGES = 50000 }; /* as CIFAR-10 has; of another model's size, some batches */

static void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "step_rate: %s\n", error->text);
    exit(status);
}

int main(int argc, char **argv) {
    static cnn_resident cnn;
    ls_error error = {0};
    cnn_step_model model = {"cnn", CNN_HEIGHT, CNN_WIDTH, CNN_CHANNELS, CNN_CLASSES};
    const char *options = "";
    int steps, batch = argc > 3 ? atoi(argv[3]) : 0, threads = argc > 4 ? atoi(argv[4]) : 1;
    bool is_cnn = argc < 6;
    if (batch < 1 || batch > IMAGES || threads < 1 || argc == 6 || argc == 7 ||
        !strstr("|" PRECISION_CHOICES "|", argv[2])) {
        fprintf(stderr, "usage: step_rate DEVICE " PRECISION_CHOICES
                        " BATCH [THREADS [MODEL SIDE CLASSES]]\n");
        return 2;
    }
    if (!is_cnn) {
        int side = atoi(argv[6]);
        model = (cnn_step_model){argv[5], side, side, 3, atoi(argv[7])};
        options = "--optimizer sgd --learning-rate 0.01 --momentum 0.9 --weight-decay 1e-4";
    }
    int images = is_cnn && strcmp(argv[1], "cuda") == 0 ? IMAGES : 4 * batch;
    must(cnn_resident_open(&cnn, &model, argv[1], precision_of(argv[2]), threads, batch, options,
                           images, &error),
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
