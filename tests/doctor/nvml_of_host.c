/* As much of NVML as says which GPUs a process may reach.
 *
 *   NVML_HIDDEN=LETTERS    GPUs whose UUID ends in one of these are not this process's (a control
 *                          group): not found
 *   NVML_UNCONNECTED=1     the hardware does not copy between GPUs */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_FOUND = 6, P2P_OK = 0, P2P_CHIPSET_NOT_SUPPORTED = 1 };

int nvmlInit_v2(void);
int nvmlShutdown(void);
int nvmlDeviceGetHandleByUUID(const char *uuid, void **out);
int nvmlDeviceGetP2PStatus(void *device, void *other, int capability, int *status);

static char gpus[256];

int nvmlInit_v2(void) {
    return SUCCESS;
}

int nvmlShutdown(void) {
    return SUCCESS;
}

int nvmlDeviceGetHandleByUUID(const char *uuid, void **out) {
    const char *hidden = getenv("NVML_HIDDEN");
    char last = uuid[strlen(uuid) - 1];
    if (hidden && strchr(hidden, last))
        return NOT_FOUND;
    *out = &gpus[(unsigned char)last];
    return SUCCESS;
}

int nvmlDeviceGetP2PStatus(void *device, void *other, int capability, int *status) {
    (void)device, (void)other, (void)capability;
    *status = getenv("NVML_UNCONNECTED") ? P2P_CHIPSET_NOT_SUPPORTED : P2P_OK;
    return SUCCESS;
}
