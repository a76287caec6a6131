/* The cuda device. In this version it finds the GPU and says why one cannot be used; the ops
 * (cuDNN, cuBLASLt, kernels) are not here yet, so open() never succeeds and no run can be taken
 * for a GPU run. */
#include "device/device.h"

#include <cuda_runtime_api.h>

static int no_gpu(cudaError_t status, ls_error *error) {
    int driver = 0;
    cudaDriverGetVersion(&driver);
    if (driver == 0)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--device cuda: no NVIDIA driver on this host (%s); ask Slurm for a node "
                       "with one (--gres=gpu:1), or give --device cpu",
                       cudaGetErrorString(status));
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: no usable GPU (%s; the driver supports CUDA %d.%d); ask for one "
                   "with --gres=gpu:1, or give --device cpu",
                   cudaGetErrorString(status), driver / 1000, driver % 1000 / 10);
}

static int cuda_open(const device_request *request, device **out, ls_error *error) {
    (void)request, (void)out;
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0)
        return no_gpu(status, error);
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: found %d GPU%s, but lockstep %s has no GPU kernels yet; give "
                   "--device cpu (LOCKSTEP_DEVICE=cpu for the job scripts)",
                   count, count == 1 ? "" : "s", LOCKSTEP_VERSION);
}

const device_interface device_cuda = {.name = "cuda", .open = cuda_open};
