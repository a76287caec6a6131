/* Every op of one device, named by the argument: forward against ref, backward against ref and
 * against finite differences. `test_ops ref` holds ref to answers worked out by hand and by other
 * formulas, and to itself in every layout.
 *
 *   test_ops ref|cpu|cuda [THREADS ...] */
#include "ops_fixture.h"

#include <stdio.h>
#include <stdlib.h>

static void test_all(const char *name, int threads) {
    subject tested = subject_open(name, threads), ref = subject_open("ref", 1);
    test_by_hand(&tested);
    test_refusals(&tested);
    test_elementwise(&tested);
    test_loss(&tested, &ref);
    test_batch(&tested);
    test_maxpool2d(&tested, &ref);
    test_linear(&tested, &ref);
    test_conv2d(&tested, &ref);
    test_conv2d_differences(&tested, &ref);
    test_optimizer(&tested);
    test_packed_copies(&tested, &ref);
    subject_close(&tested), subject_close(&ref);
}

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "test_ops: expected a device: ref, cpu or cuda\n");
        return 2;
    }
    for (int i = 2; i < argc; i++)
        test_all(argv[1], atoi(argv[i]));
    if (argc == 2)
        test_all(argv[1], 1);
    return all_done();
}
