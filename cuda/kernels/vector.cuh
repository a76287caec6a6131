// Element types and vectors of them: what the kernels load and store in one access.
#ifndef LOCKSTEP_CUDA_KERNELS_VECTOR_CUH
#define LOCKSTEP_CUDA_KERNELS_VECTOR_CUH

#include "cuda/kernels/kernels.h"
#include "cuda/kernels/launch.cuh"

#include <cuda_bf16.h>
#include <cuda_fp16.h>

// N elements, aligned so that one access of up to 16 bytes moves them.
template <typename T, int N> struct alignas(sizeof(T) * N < 16 ? sizeof(T) * N : 16) vec {
    T at[N];
};

// Elements in 16 bytes.
template <typename T> constexpr int wide = 16 / (int)sizeof(T);

template <int N, typename T> __device__ inline vec<T, N> load(const T *from) {
    return *reinterpret_cast<const vec<T, N> *>(from);
}

template <int N, typename T> __device__ inline void store(T *to, const vec<T, N> &value) {
    *reinterpret_cast<vec<T, N> *>(to) = value;
}

__device__ inline float to_float(float value) {
    return value;
}
__device__ inline float to_float(__nv_bfloat16 value) {
    return __bfloat162float(value);
}
__device__ inline float to_float(__half value) {
    return __half2float(value);
}

// Rounded to nearest even.
template <typename T> __device__ inline T from_float(float value);
template <> __device__ inline float from_float<float>(float value) {
    return value;
}
template <> __device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float value) {
    return __float2bfloat16_rn(value);
}
template <> __device__ inline __half from_float<__half>(float value) {
    return __float2half_rn(value);
}

// Host: calls launch(element of that type, 0).
template <typename Launch> cudaError_t for_type(dtype type, Launch launch) {
    switch (type) {
    case DTYPE_F32:
        return launch(float());
    case DTYPE_BF16:
        return launch(__nv_bfloat16());
    case DTYPE_F16:
        return launch(__half());
    default:
        return cudaErrorInvalidValue;
    }
}

// Host: whether vectors of `bytes` bytes may be read or written at all of these.
inline bool are_aligned(size_t) {
    return true;
}
template <typename... Rest>
bool are_aligned(size_t bytes, const void *pointer, const Rest *...rest) {
    return (uintptr_t)pointer % bytes == 0 && are_aligned(bytes, rest...);
}

inline unsigned blocks_for(size_t items, size_t items_a_block) {
    return (unsigned)((items + items_a_block - 1) / items_a_block);
}

#endif
