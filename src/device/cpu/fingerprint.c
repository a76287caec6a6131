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

/* Of a block that is not whole here: its elements [from, end). What is not here is zero in the
 * sketch and absent in the hash. */
static void add_part(const float *values, size_t number, unsigned from, unsigned end,
                     fingerprint *sums) {
    fingerprint_block block = fingerprint_block_at(number);
    for (unsigned j = from; j < end; j++) {
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

/* Blocks [first, end), which are whole, by all threads. */
static void add_shared_out(const float *values, size_t first, size_t end, fingerprint *all) {
    enum { CHUNK = 64 }; /* blocks */
#pragma omp parallel
    {
        fingerprint mine = {0};
#pragma omp for schedule(static) nowait
        for (size_t at = first; at < end; at += CHUNK)
            add_blocks(values, at, end - at < CHUNK ? end : at + CHUNK, &mine);
#pragma omp critical(fingerprint)
        add_all(all, &mine);
    }
}

int cpu_fingerprint(device *self, device_stream *stream, const float *values, size_t first,
                    size_t count, fingerprint *out, ls_error *error) {
    (void)self, (void)stream, (void)error;
    const float *zeroth = (const float *)((uintptr_t)values - first * sizeof *values);
    size_t end = first + count, whole = (first + BLOCK - 1) / BLOCK, rest = end / BLOCK;
    if (whole > rest) { /* inside of one block */
        add_part(zeroth, rest, (unsigned)(first % BLOCK), (unsigned)(end % BLOCK), out);
        return LS_OK;
    }
    if (first % BLOCK)
        add_part(zeroth, whole - 1, (unsigned)(first % BLOCK), BLOCK, out);
    add_shared_out(zeroth, whole, rest, out);
    add_part(zeroth, rest, 0, (unsigned)(end % BLOCK), out);
    return LS_OK;
}
