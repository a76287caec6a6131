/* The kernels' launchers (cuda/kernels/kernels.h) by themselves: what the op tests do not reach,
 * such as sums over many blocks and arrays at odd addresses. On a GPU, or emulated. */
#include "kit.h"

#include <stdio.h>

int main(void) {
    int count = 0;
    setvbuf(stdout, NULL, _IOLBF, 0);
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0) {
        printf("1..0 # SKIP no GPU: %s\n", cudaGetErrorString(status));
        return 0;
    }
    test_column_sums();
    test_sums_of_squares();
    test_fingerprint();
    test_loss_over_blocks();
    test_casts();
    test_finite();
    test_adam_ranges();
    test_sgd_ranges();
    test_alignments();
    test_direct();
    test_pool_sums();
    test_norm();
    test_layernorm();
    test_tokens();
    return all_done();
}
