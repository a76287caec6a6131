/* Memory for a network's packed copies where no mode's store gives it. */
#ifndef LOCKSTEP_TESTS_PACKED_MEMORY_H
#define LOCKSTEP_TESTS_PACKED_MEMORY_H

#include "model/network.h"

enum { PACKED_MOST = 32 };

typedef struct packed_memory {
    device *device;
    void *of[PACKED_MOST]; /* by record */
} packed_memory;

/* After network_seal. */
static inline int packed_memory_take(packed_memory *self, network *network, const graph *graph,
                                     device *device, ls_error *error) {
    *self = (packed_memory){.device = device};
    if (graph->record_count > PACKED_MOST)
        return ls_fail(error, LS_FAILED, "%d records", graph->record_count);
    for (int record = 0; record < graph->record_count; record++) {
        size_t bytes = network_packed_bytes(network, record);
        if (bytes == 0)
            continue;
        LS_TRY(device->is->allocate(device, bytes, "packed weights", &self->of[record], error));
        network_place_packed(network, record, self->of[record]);
    }
    return LS_OK;
}

static inline void packed_memory_give_back(packed_memory *self) {
    for (int record = 0; record < PACKED_MOST; record++)
        if (self->of[record])
            self->device->is->release(self->device, self->of[record]);
}

#endif
