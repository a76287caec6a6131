#include "device/device_options.h"

#include <stddef.h>

#define AT(field) offsetof(device_options, field)

static const option options[] = {
    {"device", OPTION_CHOICE, AT(device), "DEVICE", "auto", DEVICE_CHOICES, 0, 0,
     "Compute there; auto: on the GPU where one was granted, else on the cpu.", false},
    {"threads", OPTION_INTEGER, AT(threads), "N", "0", NULL, 0, 1024,
     "Compute with N threads a rank; 0: one for each of its cores, within a container's CPU quota.",
     true},
    {"device-memory", OPTION_INTEGER, AT(memory_mb), "MB", NULL, NULL, 1, 16777216,
     "Hold at most so many MB (10^6 bytes) a rank in the device's memory, by the plan.", false},
    {"oversubscribe", OPTION_FLAG, AT(oversubscribe), NULL, NULL, NULL, 0, 0,
     "Allow two ranks on one core (marked in the summary).", false},
    {"share-gpu", OPTION_FLAG, AT(share_gpu), NULL, NULL, NULL, 0, 0,
     "Allow more ranks on a node than it has GPUs.", false},
    {0}};

int device_add_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Ranks and devices", options, offset}, error);
}
