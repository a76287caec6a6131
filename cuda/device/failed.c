/* What a failed CUDA call says. */
#include "cuda/device/cuda_device.h"

/* An error that work on the device left behind: every later call returns it, so the call that
 * reports it is not the one at fault. */
static bool left_behind(cudaError_t status) {
    switch (status) {
    case cudaErrorIllegalAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorLaunchTimeout:
    case cudaErrorAssert:
    case cudaErrorHardwareStackError:
    case cudaErrorIllegalInstruction:
    case cudaErrorMisalignedAddress:
    case cudaErrorInvalidAddressSpace:
    case cudaErrorInvalidPc:
    case cudaErrorECCUncorrectable:
    case cudaErrorUnknown:
        return true;
    default:
        return false;
    }
}

static bool of_a_recording(cudaError_t status) {
    return status >= cudaErrorStreamCaptureUnsupported &&
           status <= cudaErrorStreamCaptureWrongThread;
}

int cuda_failed(cudaError_t status, const char *what, ls_error *error) {
    cudaGetLastError(); /* one that is not left behind is forgotten: the next call is not blamed */
    const char *name = cudaGetErrorName(status), *text = cudaGetErrorString(status);
    if (left_behind(status))
        return ls_fail(error, LS_FAILED,
                       "%s: %s (%s), which work that was queued earlier left behind", what, text,
                       name);
    if (of_a_recording(status))
        return ls_fail(error, LS_FAILED,
                       "%s: %s (%s) while a CUDA graph was recorded; --no-graph runs without one",
                       what, text, name);
    return ls_fail(error, LS_FAILED, "%s: %s (%s)", what, text, name);
}
