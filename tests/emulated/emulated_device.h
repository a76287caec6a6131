// What device code may say and a host compiler does not know: indices, barriers, warps, atomics and
// the intrinsics that the kernels use. Missing ones are added here as they are needed.
#ifndef LOCKSTEP_TESTS_EMULATED_DEVICE_H
#define LOCKSTEP_TESTS_EMULATED_DEVICE_H

#include <cuda_runtime.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>

using std::isfinite; // nvcc has it without a name space

namespace emulated {

// The thread that runs.
struct where {
    uint3 thread, block;
    dim3 threads, blocks;
};
extern where here;

// At a barrier or a warp's exchange, the line it stands on, for texts.
void block_barrier(const char *file, int line);
// Gives the value of each lane of `mask` to all[lane]; every lane of the mask calls it, with the
// same mask. `bytes` at most 16.
void warp_exchange(unsigned mask, const void *value, unsigned bytes, void *all, const char *file,
                   int line);
unsigned warp_lane();

template <class T>
T shuffle(unsigned mask, T value, int source, int width, const char *file, int line) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= 16);
    T all[32];
    memset((void *)all, 0xff, sizeof all);
    warp_exchange(mask, &value, sizeof value, all, file, line);
    int lane = (int)warp_lane(), first = lane / width * width;
    // Outside the segment, or a lane that is not in the mask: one's own, as the real one leaves it
    // (the latter is undefined there: all bits set here).
    return source < first || source >= first + width ? value : all[source];
}

} // namespace emulated

#define threadIdx (emulated::here.thread)
#define blockIdx  (emulated::here.block)
#define blockDim  (emulated::here.threads)
#define gridDim   (emulated::here.blocks)
#define warpSize  32

#undef __shared__
#define __shared__ static
#undef __constant__
#define __constant__ const
#ifndef __launch_bounds__
#define __launch_bounds__(...)
#endif

#define __syncthreads()                emulated::block_barrier(__FILE__, __LINE__)
#define __syncwarp(...)                emulated::warp_barrier(__FILE__, __LINE__, ##__VA_ARGS__)
#define __ballot_sync(mask, predicate) emulated::ballot(mask, predicate, __FILE__, __LINE__)
#define __any_sync(mask, predicate)    (__ballot_sync(mask, predicate) != 0)
#define __all_sync(mask, predicate)    (__ballot_sync(mask, predicate) == (mask))
#define __syncthreads_or(predicate)    emulated::block_or((predicate), __FILE__, __LINE__)
#define __syncthreads_count(predicate) emulated::block_count((predicate), __FILE__, __LINE__)

#define __shfl_sync(...)      emulated::shfl(__FILE__, __LINE__, __VA_ARGS__)
#define __shfl_xor_sync(...)  emulated::shfl_xor(__FILE__, __LINE__, __VA_ARGS__)
#define __shfl_down_sync(...) emulated::shfl_down(__FILE__, __LINE__, __VA_ARGS__)
#define __shfl_up_sync(...)   emulated::shfl_up(__FILE__, __LINE__, __VA_ARGS__)

namespace emulated {

inline void warp_barrier(const char *file, int line, unsigned mask = 0xffffffffu) {
    char nothing = 0, all[32];
    warp_exchange(mask, &nothing, 1, all, file, line);
}

inline unsigned ballot(unsigned mask, bool predicate, const char *file, int line) {
    char mine = predicate, all[32];
    memset(all, 0, sizeof all);
    warp_exchange(mask, &mine, 1, all, file, line);
    unsigned votes = 0;
    for (unsigned lane = 0; lane < 32; lane++)
        votes |= (unsigned)(all[lane] != 0) << lane;
    return votes & mask;
}

int block_count(bool predicate, const char *file, int line);
inline int block_or(bool predicate, const char *file, int line) {
    return block_count(predicate, file, line) != 0;
}

template <class T>
T shfl(const char *file, int line, unsigned mask, T value, int source, int width = 32) {
    int first = (int)warp_lane() / width * width;
    return shuffle(mask, value, first + (source & (width - 1)), width, file, line);
}

template <class T>
T shfl_xor(const char *file, int line, unsigned mask, T value, int bits, int width = 32) {
    return shuffle(mask, value, (int)warp_lane() ^ bits, width, file, line);
}

template <class T>
T shfl_down(const char *file, int line, unsigned mask, T value, unsigned by, int width = 32) {
    return shuffle(mask, value, (int)(warp_lane() + by), width, file, line);
}

template <class T>
T shfl_up(const char *file, int line, unsigned mask, T value, unsigned by, int width = 32) {
    return shuffle(mask, value, (int)warp_lane() - (int)by, width, file, line);
}

} // namespace emulated

// Threads change places at barriers only: what is atomic there is plain here.
template <class T, class U> T atomicAdd(T *at, U value) {
    T old = *at;
    *at = (T)(old + (T)value);
    return old;
}
template <class T, class U> T atomicMax(T *at, U value) {
    T old = *at;
    *at = old < (T)value ? (T)value : old;
    return old;
}
template <class T, class U> T atomicMin(T *at, U value) {
    T old = *at;
    *at = (T)value < old ? (T)value : old;
    return old;
}
template <class T, class U> T atomicOr(T *at, U value) {
    T old = *at;
    *at = (T)(old | (T)value);
    return old;
}
template <class T, class U> T atomicExch(T *at, U value) {
    T old = *at;
    *at = (T)value;
    return old;
}
template <class T, class U, class V> T atomicCAS(T *at, U expected, V value) {
    T old = *at;
    if (old == (T)expected)
        *at = (T)value;
    return old;
}
// As the real one: counts up to `limit`, then starts again at 0.
inline unsigned atomicInc(unsigned *at, unsigned limit) {
    unsigned old = *at;
    *at = old >= limit ? 0 : old + 1;
    return old;
}

inline void __threadfence() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
inline void __threadfence_block() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
inline void __threadfence_system() {
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

template <class T> T __ldg(const T *at) {
    return *at;
}
template <class T> T __ldcs(const T *at) {
    return *at;
}
template <class T> T __ldcg(const T *at) {
    return *at;
}
template <class T> void __stcs(T *at, T value) {
    *at = value;
}
template <class T> void __stcg(T *at, T value) {
    *at = value;
}

template <class To, class From> To emulated_bits(From from) {
    static_assert(sizeof(To) == sizeof(From));
    To to;
    memcpy(&to, &from, sizeof to);
    return to;
}
inline unsigned __float_as_uint(float x) {
    return emulated_bits<unsigned>(x);
}
inline int __float_as_int(float x) {
    return emulated_bits<int>(x);
}
inline float __uint_as_float(unsigned x) {
    return emulated_bits<float>(x);
}
inline float __int_as_float(int x) {
    return emulated_bits<float>(x);
}
inline long long __double_as_longlong(double x) {
    return emulated_bits<long long>(x);
}
inline double __longlong_as_double(long long x) {
    return emulated_bits<double>(x);
}
inline unsigned __umulhi(unsigned a, unsigned b) {
    return (unsigned)((uint64_t)a * b >> 32);
}
inline int __clz(int x) {
    return x ? __builtin_clz((unsigned)x) : 32;
}
inline int __popc(unsigned x) {
    return __builtin_popcount(x);
}
inline int __ffs(int x) {
    return __builtin_ffs(x);
}

// Rounded one by one: no contraction crosses these on the device, and -ffp-contract=off sees to it
// here.
inline float __fadd_rn(float a, float b) {
    return a + b;
}
inline float __fsub_rn(float a, float b) {
    return a - b;
}
inline float __fmul_rn(float a, float b) {
    return a * b;
}
inline float __fdiv_rn(float a, float b) {
    return a / b;
}
inline float __fsqrt_rn(float a) {
    return sqrtf(a);
}
inline float __frcp_rn(float a) {
    return 1.0f / a;
}
inline float __fmaf_rn(float a, float b, float c) {
    return fmaf(a, b, c);
}
inline double __dadd_rn(double a, double b) {
    return a + b;
}
inline double __dmul_rn(double a, double b) {
    return a * b;
}
inline float __fdividef(float a, float b) {
    return a / b;
}
inline float __expf(float x) {
    return expf(x);
}
inline float __logf(float x) {
    return logf(x);
}
inline float rsqrtf(float x) {
    return 1.0f / sqrtf(x);
}
inline float __saturatef(float x) {
    return x < 0 ? 0.0f : x > 1 ? 1.0f : x;
}

template <class A, class B> auto min(A a, B b) -> std::common_type_t<A, B> {
    return a < b ? a : b;
}
template <class A, class B> auto max(A a, B b) -> std::common_type_t<A, B> {
    return a < b ? b : a;
}

#endif
