/* The fingerprint of an array: blocks of 128 elements, shared out among the threads. Integers are
 * added up, so how they are shared out changes nothing. */
#include "device/cpu/cpu.h"

enum { BLOCK = FINGERPRINT_BUCKETS };

/* Whole blocks, the first of which is number `first`. */
static void add_blocks(const float *values, size_t first, size_t end, fingerprint *sums) {
    uint64_t hash = 0, terms[BLOCK];
    for (size_t number = first; number < end; number++) {
        const float *in = values + number * BLOCK;
        fingerprint_block block = fingerprint_block_at(number);
        for (unsigned j = 0; j < BLOCK; j++)
            hash += fingerprint_term(number * BLOCK + j, fingerprint_bits(in[j]));
        for (unsigned half = 0; half < BLOCK / 64; half++) {
            uint64_t signs = block.signs[half];
            for (uint64_t j = 0; j < 64; j++) { /* 64 bits wide, or gcc 12 makes no vectors */
                uint64_t sign = 0 - ((signs >> j) & 1);
                terms[64 * half + j] = (fingerprint_fixed(in[64 * half + j]) ^ sign) - sign;
            }
        }
        unsigned wrap = BLOCK - block.rotation;
        for (unsigned j = 0; j < wrap; j++)
            sums->sketch[j + block.rotation] += terms[j];
        for (unsigned j = wrap; j < BLOCK; j++)
            sums->sketch[j - wrap] += terms[j];
    }
    sums->hash += hash;
}

/* The last block, which may be short: what it lacks is zero in the sketch and absent in the hash.
 */
static void add_rest(const float *values, size_t number, size_t count, fingerprint *sums) {
    fingerprint_block block = fingerprint_block_at(number);
    for (unsigned j = 0; j < count; j++) {
        float value = values[number * BLOCK + j];
        uint64_t sign = fingerprint_sign(&block, j);
        sums->hash += fingerprint_term(number * BLOCK + j, fingerprint_bits(value));
        sums->sketch[(j + block.rotation) % BLOCK] += (fingerprint_fixed(value) ^ sign) - sign;
    }
}

static void add_all(fingerprint *to, const fingerprint *from) {
    to->hash += from->hash;
    for (int bucket = 0; bucket < BLOCK; bucket++)
        to->sketch[bucket] += from->sketch[bucket];
}

int cpu_fingerprint(device *self, device_stream *stream, const float *values, size_t count,
                    fingerprint *out, ls_error *error) {
    (void)self, (void)stream, (void)error;
    enum { CHUNK = 64 }; /* blocks */
    size_t whole = count / BLOCK;
    fingerprint all = {0};
#pragma omp parallel
    {
        fingerprint mine = {0};
#pragma omp for schedule(static) nowait
        for (size_t first = 0; first < whole; first += CHUNK)
            add_blocks(values, first, whole - first < CHUNK ? whole : first + CHUNK, &mine);
#pragma omp critical(fingerprint)
        add_all(&all, &mine);
    }
    add_rest(values, whole, count % BLOCK, &all);
    *out = all;
    return LS_OK;
}
