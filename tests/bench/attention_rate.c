/* Attention on demand, for attention.py: device cpu. Reads a number of passes a line, runs forward
 * and backward so often, and answers with the processor's seconds of each of the two, and with the
 * bytes of scratch and saved memory.
 *
 *   attention_rate N TOKENS HEADS HEAD_DIM THREADS PRECISION */
#include "base/random.h"
#include "device/kinds/attention.h"
#include "device/ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static ls_error error;

static void must(int status) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "attention_rate: %s\n", error.text);
    exit(status);
}

static double processor_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* Values in [-1, 1), in the type. */
static void *values(device *device, dtype type, size_t count, uint64_t stream) {
    void *floats, *out;
    must(device->is->allocate(device, count * sizeof(float), "a bench", &floats, &error));
    must(device->is->allocate(device, count * dtype_bytes(type), "a bench", &out, &error));
    for (size_t i = 0; i < count; i++) {
        uint32_t bits[4];
        random_block(1, RANDOM_SYNTHETIC, stream, i, bits);
        ((float *)floats)[i] = (float)(bits[0] >> 8) * 0x1p-23f - 1;
    }
    must(device->is->ops->cast(device, NULL, count, DTYPE_F32, floats, type, out, &error));
    device->is->release(device, floats);
    return out;
}

int main(int argc, char **argv) {
    device *device;
    plan *plan;
    char line[32];
    if (argc != 7) {
        fprintf(stderr,
                "attention_rate: expected N, TOKENS, HEADS, HEAD_DIM, THREADS, PRECISION\n");
        return 2;
    }
    precision precision = precision_of(argv[6]);
    device_request request = {.threads = atoi(argv[5])};
    must(device_open("cpu", &request, &device, &error));
    must(device->is->check_precision(device, precision, &error));
    attention_shape shape = {.n = atoi(argv[1]),
                             .tokens = atoi(argv[2]),
                             .heads = atoi(argv[3]),
                             .head_dim = atoi(argv[4]),
                             .type = precision_type(precision)};
    must(op_prepare(device, &op_attention, &shape, NULL, &plan, &error));
    size_t outputs =
        (size_t)shape.n * (size_t)shape.tokens * (size_t)shape.heads * (size_t)shape.head_dim;
    op_arguments a = {.x = {values(device, shape.type, 3 * outputs, 1)},
                      .y = values(device, shape.type, outputs, 2),
                      .dy = values(device, shape.type, outputs, 3),
                      .dx = {values(device, shape.type, 3 * outputs, 4)},
                      .training = true};
    must(device->is->allocate(device, plan->saved_bytes, "a bench", &a.saved, &error));
    must(device->is->allocate(device, plan->workspace_bytes, "a bench", &a.workspace, &error));
    while (fgets(line, sizeof line, stdin)) {
        double start = processor_seconds();
        for (int i = 0; i < atoi(line); i++)
            must(plan->is->forward(plan, &a, &error));
        double between = processor_seconds();
        for (int i = 0; i < atoi(line); i++)
            must(plan->is->backward_inputs(plan, &a, &error));
        printf("%.9f %.9f %zu\n", between - start, processor_seconds() - between,
               plan->workspace_bytes + plan->saved_bytes);
        fflush(stdout);
    }
    return 0; /* the system takes the memory */
}
