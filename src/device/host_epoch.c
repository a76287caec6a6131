/* An epoch's begin in host memory. */
#include "device/host.h"

int host_begin_epoch(device *self, device_stream *stream, const epoch_arguments *a,
                     ls_error *error) {
    (void)self, (void)stream, (void)error;
    int64_t *to = a->order;
    for (int index = 0; index < a->state_count; index++) {
        a->states[index].epoch = a->epoch;
        a->states[index].cursor = 0;
    }
    for (int64_t batch = 0; a->order && batch < a->batches; batch++) {
        epoch_part part = batch < a->batches - 1 ? a->part : a->last_part;
        int64_t first = a->same ? 0 : batch * a->batch + part.first;
        for (int64_t at = first; at < first + part.count; at++)
            *to++ = a->shuffled && !a->same ? permutation_at(&a->shuffle, at) : at;
    }
    return LS_OK;
}
