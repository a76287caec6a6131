/* Every op of one device, named by the argument, in each precision that it has: forward against
 * ref, backward against ref and against finite differences. `test_ops ref` holds ref to answers
 * worked out by hand and by other formulas, in low precision to itself in fp32, and to itself in
 * every layout.
 *
 *   test_ops ref|cpu|cuda [THREADS ...] [PRECISION] [KIND]
 *
 * PRECISION: this one alone. KIND: one kind of op alone, `kernels` (what no library computes),
 * `products` (linear layers) or `convolutions`. */
#include "ops_fixture.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { KERNELS = 1, PRODUCTS = 2, CONVOLUTIONS = 4, EVERY_KIND = 7, MOST_RUNS = 16 };

typedef struct arguments {
    const char *device;
    int threads[MOST_RUNS], runs;
    int kinds;
    bool wanted[PRECISION_COUNT];
} arguments;

/* Of the kinds that meson.build lists: test_KIND in ops_KIND.c. */
#define KIND(name) void test_##name(subject *s, subject *ref);
TESTED_KINDS
#undef KIND
#define KIND(name) test_##name,
static void (*const kinds[])(subject *, subject *) = {TESTED_KINDS};
#undef KIND

static void test_kernels(subject *tested, subject *ref) {
    test_by_hand(tested);
    test_elementwise(tested);
    test_loss(tested, ref);
    test_batch(tested);
    test_augmentation(tested);
    for (size_t kind = 0; kind < sizeof kinds / sizeof *kinds; kind++)
        kinds[kind](tested, ref);
    if (tested->precision != PRECISION_FP32)
        return;
    test_optimizer(tested);
    test_kinds(tested);
    test_device(tested);
    test_cast(tested);
    test_check_finite(tested);
    test_advance(tested);
    test_begin_epoch(tested);
    test_sums_of_squares(tested);
    test_clip_norm(tested);
    test_fingerprint(tested);
    test_refusals(tested);
}

static void test_convolutions(subject *tested, subject *ref) {
    test_conv2d(tested, ref);
    test_packed_copies(tested); /* of linear layers too */
    if (tested->precision == PRECISION_FP32)
        test_conv2d_differences(tested, ref);
}

static void test_all(const arguments *a, int threads, precision precision) {
    subject tested = subject_open(a->device, threads, precision);
    subject ref = subject_open("ref", 1, PRECISION_FP32);
    if (a->kinds & KERNELS)
        test_kernels(&tested, &ref);
    if (a->kinds & PRODUCTS)
        test_linear(&tested, &ref);
    if (a->kinds & CONVOLUTIONS)
        test_convolutions(&tested, &ref);
    subject_close(&tested), subject_close(&ref);
}

static bool is_kind(const char *word, int *kind) {
    static const char *const names[] = {"kernels", "products", "convolutions"};
    for (int index = 0; index < 3; index++)
        if (strcmp(word, names[index]) == 0) {
            *kind = 1 << index;
            return true;
        }
    return false;
}

static bool is_precision(const char *word, bool wanted[PRECISION_COUNT]) {
    for (int each = 0; each < PRECISION_COUNT; each++)
        if (strcmp(word, precision_name((precision)each)) == 0) {
            memset(wanted, 0, PRECISION_COUNT * sizeof *wanted);
            return wanted[each] = true;
        }
    return false;
}

static bool parse(int argc, char **argv, arguments *out) {
    *out = (arguments){.device = argv[1], .kinds = EVERY_KIND};
    memset(out->wanted, true, sizeof out->wanted);
    for (int index = 2; index < argc; index++) {
        int threads = atoi(argv[index]);
        if (threads > 0 && out->runs < MOST_RUNS)
            out->threads[out->runs++] = threads;
        else if (!is_kind(argv[index], &out->kinds) && !is_precision(argv[index], out->wanted))
            return false;
    }
    if (out->runs == 0)
        out->threads[out->runs++] = 1;
    return argc > 1;
}

/* Low precision with the first and the last number of threads. */
int main(int argc, char **argv) {
    arguments a;
    if (argc < 2 || !parse(argc, argv, &a)) {
        fprintf(stderr, "usage: test_ops ref|cpu|cuda [THREADS ...] [" PRECISION_CHOICES
                        "] [kernels|products|convolutions]\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0); /* what was right is known, whatever ends it */
    for (int run = 0; run < a.runs; run++)
        for (int each = 0; each < PRECISION_COUNT; each++)
            if (a.wanted[each] && subject_has(a.device, (precision)each) &&
                (each == PRECISION_FP32 || run == 0 || run == a.runs - 1))
                test_all(&a, a.threads[run], (precision)each);
    return all_done();
}
