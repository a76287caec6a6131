/* A CUDA driver that is none, built as libcuda.so.1 for a test alone. cuDNN compiles its fused
 * attention while it builds a plan, and looks for the driver's library then, to load what it
 * compiled. Here loading succeeds and gives nothing, so that a plan comes to its end, and tells its
 * workspace, on a machine without a driver; it cannot run. All else answers
 * CUDA_ERROR_STUB_LIBRARY, as the toolkit's own stub of the library does. */

enum { SUCCESS = 0, STUB_LIBRARY = 34 }; /* of CUresult */

static char nothing; /* what a handle points to */

#define GIVES(name)                                                                                \
    int name(void **out);                                                                          \
    int name(void **out) {                                                                         \
        *out = &nothing;                                                                           \
        return SUCCESS;                                                                            \
    }
#define ANSWERS(name, status)                                                                      \
    int name(void);                                                                                \
    int name(void) {                                                                               \
        return status;                                                                             \
    }
#define SUCCEEDS(name) ANSWERS(name, SUCCESS)
#define REFUSES(name)  ANSWERS(name, STUB_LIBRARY)

GIVES(cuLibraryLoadData)
GIVES(cuLibraryGetKernel)
GIVES(cuModuleGetFunction)
GIVES(cuModuleLoadData)
GIVES(cuModuleLoadDataEx)
SUCCEEDS(cuFuncGetAttribute)
SUCCEEDS(cuFuncSetAttribute)
SUCCEEDS(cuKernelGetAttribute)
SUCCEEDS(cuKernelSetAttribute)
SUCCEEDS(cuLibraryUnload)
SUCCEEDS(cuModuleUnload)
REFUSES(cuCtxGetCurrent)
REFUSES(cuCtxGetDevice)
REFUSES(cuCtxGetLimit)
REFUSES(cuCtxPopCurrent)
REFUSES(cuCtxPushCurrent)
REFUSES(cuDeviceGet)
REFUSES(cuDeviceGetAttribute)
REFUSES(cuDeviceGetCount)
REFUSES(cuDevicePrimaryCtxRelease)
REFUSES(cuDevicePrimaryCtxReset)
REFUSES(cuDevicePrimaryCtxRetain)
REFUSES(cuDriverGetVersion)
REFUSES(cuGetErrorName)
REFUSES(cuGetErrorString)
REFUSES(cuInit)
REFUSES(cuLaunchCooperativeKernel)
REFUSES(cuLaunchKernel)
REFUSES(cuLaunchKernelEx)
REFUSES(cuLibraryLoadFromFile)
REFUSES(cuLinkAddData)
REFUSES(cuLinkAddData_v2)
REFUSES(cuLinkAddFile_v2)
REFUSES(cuLinkComplete)
REFUSES(cuLinkCreate)
REFUSES(cuLinkCreate_v2)
REFUSES(cuLinkDestroy)
REFUSES(cuMemcpyDtoH_v2)
REFUSES(cuModuleGetGlobal_v2)
REFUSES(cuModuleLoadFatBinary)
REFUSES(cuOccupancyMaxActiveBlocksPerMultiprocessor)
REFUSES(cuOccupancyMaxPotentialClusterSize)
REFUSES(cuStreamGetCtx)
REFUSES(cuStreamSynchronize)
REFUSES(cuTensorMapEncodeTiled)
