/* Named ranges on the timeline of a profiler (NVTX 3, headers only), in a domain of their own: a
 * profiler shows them apart from what cuDNN and NCCL say of themselves. Without a profiler a call
 * costs a few nanoseconds. Ranges nest, on the thread that makes them. */
#include "cuda/device/ranges.h"

#include <nvtx3/nvToolsExt.h>
#include <pthread.h>

static nvtxDomainHandle_t domain;
static pthread_once_t made = PTHREAD_ONCE_INIT;

static void make_domain(void) {
    domain = nvtxDomainCreateA("lockstep");
}

void cuda_range_begin(device *self, const char *name) {
    (void)self;
    pthread_once(&made, make_domain);
    nvtxEventAttributes_t range = {.version = NVTX_VERSION,
                                   .size = NVTX_EVENT_ATTRIB_STRUCT_SIZE,
                                   .messageType = NVTX_MESSAGE_TYPE_ASCII,
                                   .message.ascii = name};
    nvtxDomainRangePushEx(domain, &range);
}

void cuda_range_end(device *self) {
    (void)self;
    nvtxDomainRangePop(domain);
}
