// The launchers of test_kernels.cu.
#ifndef LOCKSTEP_TESTS_EMULATED_TEST_KERNELS_H
#define LOCKSTEP_TESTS_EMULATED_TEST_KERNELS_H

#include <cuda_runtime_api.h>

cudaError_t launch_add_one(cudaStream_t stream, int *values, int count);
// 256 values; without the barrier a race.
cudaError_t launch_reverse(cudaStream_t stream, int *values, bool barrier);
cudaError_t launch_block_sums(cudaStream_t stream, const int *values, int count, int *sums,
                              int *votes);
cudaError_t launch_shuffles(cudaStream_t stream, int *out);      // [32][4]
cudaError_t launch_uninitialised(cudaStream_t stream, int *out); // [1]
cudaError_t launch_some_leave(cudaStream_t stream, int *out);    // [64]
cudaError_t launch_half_a_shuffle(cudaStream_t stream, int *out);
// Writes values[count], too.
cudaError_t launch_past_the_end(cudaStream_t stream, int *values, int count);
cudaError_t launch_too_large(cudaStream_t stream, int *values);

#endif
