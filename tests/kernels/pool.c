/* The sums that max pooling's backward makes beside the gradient: dx is the one that it writes
 * without, bit for bit, and the sums are dx's columns. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t elements(const pool_arguments *a) {
    return (size_t)a->n * (size_t)a->height * (size_t)a->width * (size_t)a->channels;
}

static pool_arguments pooled(const pool_arguments *a) {
    pool_arguments out = *a;
    out.height /= a->window;
    out.width /= a->window;
    return out;
}

static memory filled(dtype type, size_t count, uint64_t stream) {
    float *values = random_values(count, stream);
    void *host = encoded(type, values, count);
    memory made = memory_new(count * dtype_bytes(type), 0, host);
    free(values), free(host);
    return made;
}

/* Each column added up in double, and how far fp32 sums of so many may be off. */
static void compare(dtype type, const pool_arguments *a, const void *dx, const float *sums) {
    size_t rows = elements(a) / (size_t)a->channels;
    for (int c = 0; c < a->channels; c++) {
        double sum = 0, size = 0;
        for (size_t row = 0; row < rows; row++) {
            double value = (double)get(type, dx, row * (size_t)a->channels + (size_t)c);
            sum += value;
            size += fabs(value);
        }
        expect(fabs((double)sums[c] - sum) <= 0x1p-20 * size + 0x1p-40,
               "column %d is %g, expected %g", c, (double)sums[c], sum);
    }
}

static void one(dtype type, const pool_arguments *a, int processors) {
    static const char zeros[KERNEL_SCRATCH_BYTES];
    pool_arguments out = pooled(a);
    size_t bytes = elements(a) * dtype_bytes(type), channels = (size_t)a->channels;
    memory x = filled(type, elements(a), 21), dy = filled(type, elements(&out), 22);
    memory y = memory_new(elements(&out) * dtype_bytes(type), 0, NULL);
    memory saved = memory_new(elements(&out), 0, NULL),
           scratch = memory_new(sizeof zeros, 0, zeros);
    memory dx = memory_new(bytes, 0, NULL), plain = memory_new(bytes, 0, NULL);
    memory sums = memory_new(channels * sizeof(float), 4, NULL);
    memory workspace = memory_new(kernel_maxpool2d_sums_workspace(processors, a), 0, NULL);
    char *got = zeroed(bytes), *want = zeroed(bytes);
    float *first = zeroed(channels * sizeof *first), *second = zeroed(channels * sizeof *second);
    MUST(kernel_maxpool2d_forward(NULL, type, a, x.at, y.at, (uint8_t *)saved.at));
    MUST(kernel_maxpool2d_backward(NULL, type, a, dy.at, y.at, (uint8_t *)saved.at, plain.at));
    memory_get(&plain, want);
    for (int round = 0; round < 2; round++) { /* the scratch memory is fit for the next */
        MUST(kernel_maxpool2d_backward_sums(NULL, processors, type, a, dy.at, y.at,
                                            (uint8_t *)saved.at, dx.at, (float *)sums.at,
                                            workspace.at, scratch.at));
        memory_get(&dx, got);
        memory_get(&sums, round ? second : first);
        expect(memcmp(got, want, bytes) == 0, "round %d: another dx", round);
    }
    expect(memcmp(first, second, channels * sizeof *first) == 0, "other sums the second time");
    compare(type, a, want, first);
    memory *all[] = {&x, &dy, &y, &saved, &scratch, &dx, &plain, &sums, &workspace};
    for (size_t index = 0; index < sizeof all / sizeof all[0]; index++)
        memory_free(all[index]);
    free(got), free(want), free(first), free(second);
}

void test_pool_sums(void) {
    /* vectors and none of them; cut windows; channels that divide no block; more rows than blocks
     */
    static const pool_arguments shapes[] = {{2, 8, 8, 64, 2, true}, {3, 7, 5, 12, 2, true},
                                            {1, 6, 9, 5, 3, false}, {2, 4, 4, 256, 2, false},
                                            {1, 3, 3, 1, 2, true},  {9, 16, 16, 40, 2, true}};
    for (size_t t = 0; t < 3; t++) {
        for (size_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++)
            for (int processors = 1; processors <= 132; processors += 131)
                one(every_type[t], &shapes[shape], processors);
        case_done("max pooling's backward with sums, %s", dtype_name(every_type[t]));
    }
}
