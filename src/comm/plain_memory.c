/* Memory for buffers of collectives where the comm has none of its own. */
#include "base/local_limits.h"
#include "comm/comm.h"
#include "device/device.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 256 };

int comm_plain_allocate(device *device, size_t bytes, const char *what, void **out,
                        ls_error *error) {
    if (device)
        return device->is->allocate(device, bytes, what, out, error);
    size_t rounded = (bytes / ALIGNMENT + 1) * ALIGNMENT;
    *out = rounded < bytes ? NULL : aligned_alloc(ALIGNMENT, rounded);
    if (!*out) {
        char hint[128];
        limits_hint(ENOMEM, hint, sizeof hint);
        return ls_fail(error, LS_FAILED, "out of memory: %zu bytes for %s%s", bytes, what, hint);
    }
    memset(*out, 0, rounded);
    return LS_OK;
}

void comm_plain_release(device *device, void *memory) {
    if (device && memory)
        device->is->release(device, memory);
    else
        free(memory);
}
