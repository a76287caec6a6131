// The fingerprint of an array (base/fingerprint.h). Sums of integers: in any order, the same.
#include "cuda/kernels/kernels.h"
#include "cuda/kernels/launch.cuh"

enum { FINGERPRINT_THREADS = 256, FINGERPRINT_WARPS = FINGERPRINT_THREADS / 32 };

typedef unsigned long long word; // what atomicAdd takes

// A warp takes whole blocks of 128 elements, a thread the buckets lane, lane + 32, ...: it reads
// the elements that go there, so its sums stay in registers until the end.
static __global__ void add_fingerprint(const float *values, size_t first, size_t count,
                                       fingerprint *out) {
    enum { EACH = FINGERPRINT_BUCKETS / 32 };
    __shared__ word shared[FINGERPRINT_BUCKETS + 1];
    for (unsigned at = threadIdx.x; at < FINGERPRINT_BUCKETS + 1; at += FINGERPRINT_THREADS)
        shared[at] = 0;
    __syncthreads();
    unsigned lane = threadIdx.x % 32;
    uint64_t hash = 0, sums[EACH] = {};
    size_t end = first + count, blocks = (end + FINGERPRINT_BUCKETS - 1) / FINGERPRINT_BUCKETS;
    size_t stride = (size_t)gridDim.x * FINGERPRINT_WARPS;
    size_t number =
        first / FINGERPRINT_BUCKETS + (size_t)blockIdx.x * FINGERPRINT_WARPS + threadIdx.x / 32;
    for (; number < blocks; number += stride) {
        fingerprint_block block = fingerprint_block_at(number);
        for (unsigned each = 0; each < EACH; each++) {
            unsigned bucket = lane + 32 * each;
            unsigned j = (bucket - block.rotation) % FINGERPRINT_BUCKETS;
            size_t at = number * FINGERPRINT_BUCKETS + j;
            if (at >= first && at < end) {
                float value = values[at - first];
                uint64_t sign = fingerprint_sign(&block, j);
                hash += fingerprint_term(at, fingerprint_bits(value));
                sums[each] += (fingerprint_fixed(value) ^ sign) - sign;
            }
        }
    }
    for (unsigned each = 0; each < EACH; each++)
        atomicAdd(&shared[lane + 32 * each], (word)sums[each]);
    atomicAdd(&shared[FINGERPRINT_BUCKETS], (word)hash);
    __syncthreads();
    for (unsigned at = threadIdx.x; at < FINGERPRINT_BUCKETS; at += FINGERPRINT_THREADS)
        atomicAdd((word *)&out->sketch[at], shared[at]);
    if (threadIdx.x == 0)
        atomicAdd((word *)&out->hash, shared[FINGERPRINT_BUCKETS]);
}

cudaError_t kernel_add_fingerprint(cudaStream_t stream, int processors, const float *values,
                                   size_t first, size_t count, fingerprint *out) {
    if (!count)
        return cudaSuccess;
    size_t elements = (size_t)FINGERPRINT_WARPS * FINGERPRINT_BUCKETS;
    size_t wanted = (count + elements - 1) / elements, most = (size_t)processors * 4;
    return LS_LAUNCH(add_fingerprint, (unsigned)(wanted < most ? wanted : most),
                     FINGERPRINT_THREADS, stream, values, first, count, out);
}
