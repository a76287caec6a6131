/* In which layouts oneDNN has fast convolutions on this processor. It has them for few at a time,
 * others for each set of instructions and version, and what it lacks it computes by a reference a
 * thousand times slower: so it is asked, once, when the device is opened. */
#ifndef LOCKSTEP_DEVICE_CPU_LAYOUTS_H
#define LOCKSTEP_DEVICE_CPU_LAYOUTS_H

#include "device/cpu/onednn.h"

typedef struct cpu_layouts {
    tensor_layout image; /* between two image ops */
    tensor_layout input; /* of a network, with few channels */
    char reference[64];  /* "", or the only implementation that there is in any layout */
} cpu_layouts;

/* For activations of this type. */
cpu_layouts cpu_layouts_ask(onednn *engine, dtype type);

tensor_layout cpu_layouts_choose(const cpu_layouts *self, layout_role role, int channels);

#endif
