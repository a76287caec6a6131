/* The `ref` device. */
#include "device/ref/ref.h"
#include "device/host.h"

#include <stdlib.h>

static int ref_describe(const device_request *request, device_facts *out, ls_error *error) {
    (void)request, (void)error;
    *out = (device_facts){.name = "plain C, one thread",
                          .library = "none (sums in double)",
                          .numa_node = -1,
                          .host_addressable = true};
    return LS_OK;
}

/* One thread, whatever is asked for. */
static int ref_open(const device_request *request, device **out, ls_error *error) {
    device *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "device ref: out of memory");
    self->is = &device_ref;
    *out = self;
    return ref_describe(request, &self->facts, error);
}

static void ref_close(device *self) {
    free(self);
}

static int ref_check_precision(device *self, precision wanted, ls_error *error) {
    (void)self;
    if (wanted != PRECISION_TF32)
        return LS_OK;
    return ls_fail(
        error, LS_BAD_LAUNCH,
        "--precision tf32: device ref computes in fp32, bf16 and fp16 (tf32 is a GPU's)");
}

const device_interface device_ref = {
    .name = "ref",
    .ops = &ops_ref,
    .kinds = ref_kinds,
    .open = ref_open,
    .describe = ref_describe,
    .close = ref_close,
    .check_precision = ref_check_precision,
    HOST_DEVICE_CALLS,
};
