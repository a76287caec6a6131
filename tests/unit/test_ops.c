/* Every op of one device, named by the argument, in each precision that it has: forward against
 * ref, backward against ref and against finite differences. `test_ops ref` holds ref to answers
 * worked out by hand and by other formulas, in low precision to itself in fp32, and to itself in
 * every layout.
 *
 *   test_ops ref|cpu|cuda [THREADS ...]
 *   test_ops cuda kernels      only the ops that kernels of ours compute: no convolution and no
 *                              product, whose kernels are libraries' */
#include "ops_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool ours_only;

static void test_all(const char *name, int threads, precision precision) {
    subject tested = subject_open(name, threads, precision);
    subject ref = subject_open("ref", 1, PRECISION_FP32);
    test_by_hand(&tested);
    test_elementwise(&tested);
    test_loss(&tested, &ref);
    test_batch(&tested);
    test_augmentation(&tested);
    test_maxpool2d(&tested, &ref);
    if (!ours_only) {
        test_linear(&tested, &ref);
        test_conv2d(&tested, &ref);
        test_packed_copies(&tested);
    }
    if (precision == PRECISION_FP32) {
        if (!ours_only)
            test_conv2d_differences(&tested, &ref);
        test_optimizer(&tested);
        test_device(&tested);
        test_cast(&tested);
        test_check_finite(&tested);
        test_advance(&tested);
        test_sum_of_squares(&tested);
        test_fingerprint(&tested);
        test_refusals(&tested);
    }
    subject_close(&tested), subject_close(&ref);
}

/* Low precision with the first and the last number of threads. */
int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "test_ops: expected a device: ref, cpu or cuda\n");
        return 2;
    }
    ours_only = argc == 3 && strcmp(argv[2], "kernels") == 0;
    if (ours_only)
        argc = 2;
    int runs = argc > 2 ? argc - 2 : 1;
    for (int run = 0; run < runs; run++)
        for (int each = 0; each < PRECISION_COUNT; each++)
            if (subject_has(argv[1], (precision)each) &&
                (each == PRECISION_FP32 || run == 0 || run == runs - 1))
                test_all(argv[1], argc > 2 ? atoi(argv[2 + run]) : 1, (precision)each);
    return all_done();
}
