/* The fingerprint is the same from one block of threads as from many, at odd addresses, of a part
 * that begins anywhere, and is added to what is there. */
#include "kit.h"

#include <stdlib.h>
#include <string.h>

static fingerprint by_hand(const float *values, size_t first, size_t count) {
    fingerprint out = {0};
    for (size_t i = first; i < first + count; i++) {
        fingerprint_block block = fingerprint_block_at(i / FINGERPRINT_BUCKETS);
        unsigned j = (unsigned)(i % FINGERPRINT_BUCKETS);
        uint64_t fixed = fingerprint_fixed(values[i - first]);
        out.hash += fingerprint_term(i, fingerprint_bits(values[i - first]));
        out.sketch[(j + block.rotation) % FINGERPRINT_BUCKETS] +=
            fingerprint_sign(&block, j) ? 0 - fixed : fixed;
    }
    return out;
}

static void one_count(size_t first, size_t count, int processors, size_t skew) {
    float *values = random_values(count, 1100);
    memory in = memory_new(count * sizeof *values, skew, values);
    fingerprint want = by_hand(values, first, count), got = {.hash = 5, .sketch = {[127] = 7}};
    memory out = memory_new(sizeof got, 0, &got);
    MUST(kernel_add_fingerprint(NULL, processors, (const float *)in.at, first, count,
                                (fingerprint *)out.at));
    memory_get(&out, &got);
    want.hash += 5, want.sketch[127] += 7;
    expect(memcmp(&got, &want, sizeof got) == 0,
           "%zu values from %zu on, %d processors: hash %llx, not %llx", count, first, processors,
           (unsigned long long)got.hash, (unsigned long long)want.hash);
    memory_free(&in), memory_free(&out);
    free(values);
}

void test_fingerprint(void) {
    static const size_t counts[] = {0, 1, 127, 128, 129, 1024, 4099, 50001};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        one_count(0, counts[i], 1, 0);
        one_count(0, counts[i], 5, sizeof(float));
        one_count(130, counts[i], 5, sizeof(float));
        one_count(127, counts[i], 1, 0);
        case_done("fingerprint of %zu", counts[i]);
    }
}
