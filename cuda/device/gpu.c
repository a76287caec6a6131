/* Which GPU is this rank's, and why there is none. Nothing here makes a context: counting does
 * not, and the choice is made before the first call that would. */
#include "cuda/device/cuda_device.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The oldest Linux driver for each major version of the runtime (CUDA Compatibility, "CUDA
 * Toolkit and Minimum Required Driver Version"): within one, any driver serves any minor version.
 */
static const char *oldest_driver(int runtime) {
    switch (runtime / 1000) {
    case 12:
        return "525.60.13";
    case 13:
        return "580.65.06";
    default:
        return "of that version";
    }
}

static void version_text(int version, char out[static 16]) {
    snprintf(out, 16, "%d.%d", version / 1000 % 1000, version % 1000 / 10);
}

void cuda_driver_text(char *out, size_t capacity) {
    int supported = 0;
    char cuda[16], module[32] = "";
    cudaDriverGetVersion(&supported);
    version_text(supported, cuda);
    FILE *file = fopen("/sys/module/nvidia/version", "r");
    if (file && fgets(module, sizeof module, file))
        module[strcspn(module, "\n")] = '\0';
    if (file)
        fclose(file);
    if (*module)
        snprintf(out, capacity, "%.16s (CUDA %s)", module, cuda);
    else
        snprintf(out, capacity, "CUDA %s", cuda);
}

static int driver_too_old(int supported, ls_error *error) {
    char driver[48], runtime_text[16];
    int runtime = 0;
    (void)supported;
    cudaRuntimeGetVersion(&runtime);
    version_text(runtime, runtime_text);
    cuda_driver_text(driver, sizeof driver);
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: the NVIDIA driver on this host is too old: found %s, this "
                   "program was built with CUDA %s, which needs driver %s or later; update the "
                   "driver, build with an older CUDA Toolkit, or give --device cpu",
                   driver, runtime_text, oldest_driver(runtime));
}

static int no_gpu(cudaError_t status, ls_error *error) {
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    int driver = 0;
    cudaGetLastError();
    cudaDriverGetVersion(&driver);
    if (driver == 0)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--device cuda: no NVIDIA driver on this host (%s); ask Slurm for a node "
                       "with one (--gres=gpu:1), or give --device cpu",
                       cudaGetErrorString(status));
    if (status == cudaErrorInsufficientDriver)
        return driver_too_old(driver, error);
    if ((status == cudaSuccess || status == cudaErrorNoDevice) && visible)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--device cuda: CUDA_VISIBLE_DEVICES='%s' leaves no GPU of this host "
                       "visible; unset it, ask Slurm for one (--gres=gpu:1), or give --device cpu",
                       visible);
    if (status == cudaSuccess || status == cudaErrorNoDevice)
        return ls_fail(error, LS_BAD_LAUNCH,
                       "--device cuda: the driver finds no GPU on this host; ask Slurm for a node "
                       "with one (--gres=gpu:1), or give --device cpu");
    return ls_fail(error, LS_BAD_LAUNCH,
                   "--device cuda: the driver cannot be used: %s (%s); see dmesg and nvidia-smi, "
                   "or give --device cpu",
                   cudaGetErrorString(status), cudaGetErrorName(status));
}

static bool given(const char *variable) {
    const char *value = getenv(variable);
    return value && *value && strncmp(value, "none", 4) != 0;
}

/* Each rank sees GPUs of its own: Slurm bound them to tasks, or, outside Slurm, a wrapper named
 * one in CUDA_VISIBLE_DEVICES (a whole job's value does too; whether two ranks were named the same
 * GPU only its UUID tells, which the ranks compare once they are open). */
static bool bound_to_ranks(void) {
    const char *a_task = getenv("SLURM_TRES_PER_TASK");
    if (given("SLURM_GPUS_PER_TASK") || given("SLURM_NTASKS_PER_GPU") || given("SLURM_GPU_BIND") ||
        (a_task && strstr(a_task, "gpu")))
        return true;
    const char *visible = getenv("CUDA_VISIBLE_DEVICES");
    return !getenv("SLURM_JOB_ID") && visible && *visible && !strchr(visible, ',');
}

int cuda_choose_gpu(const device_request *request, int *ordinal, ls_error *error) {
    int count = 0;
    cudaError_t status = cudaGetDeviceCount(&count);
    if (status != cudaSuccess || count == 0)
        return no_gpu(status, error);
    *ordinal = request->local_rank % count;
    if (request->local_size <= count || request->share_gpu)
        return LS_OK;
    if (bound_to_ranks()) {
        *ordinal = 0;
        return LS_OK;
    }
    return ls_fail(
        error, LS_BAD_LAUNCH,
        "--device cuda: %d ranks on this node but %d GPU%s: ask for --gres=gpu:%d, start "
        "--ntasks-per-node=%d, or let ranks share a GPU with --share-gpu",
        request->local_size, count, count == 1 ? "" : "s", request->local_size, count);
}
