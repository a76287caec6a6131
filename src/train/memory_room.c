#include "train/memory_room.h"
#include "base/memory_left.h"
#include "train/trainer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

/* Left for what no plan has: page tables, stacks, buffers of the kernel and of libraries. */
static const double UNPLANNED_SHARE = 0.005, UNPLANNED_DEVICE_SHARE = 0.02;
static const double UNPLANNED_BYTES = 16e6; /* a rank's: as seen in runs of some 100 MB */

double memory_proportional_bytes(void) {
    char line[256];
    double kilobytes = 0;
    FILE *file = fopen("/proc/self/smaps_rollup", "r");
    while (file && kilobytes == 0 && fgets(line, sizeof line, file))
        if (sscanf(line, "Pss: %lf kB", &kilobytes) != 1)
            kilobytes = 0;
    if (file)
        fclose(file);
    return kilobytes > 0 ? 1024 * kilobytes : (double)memory_resident_bytes();
}

/* What a rank sees of its host. */
typedef struct host_memory {
    int node, count;
    double machine; /* bytes left */
    memory_limit limits[MOST_MEMORY_LIMITS];
} host_memory;

static int ranks_under(const host_memory *all, int size, const host_memory *mine,
                       const memory_limit *limit) {
    int ranks = 0;
    for (int rank = 0; rank < size; rank++) {
        bool under = false;
        for (int index = 0; index < all[rank].count; index++)
            under = under || (all[rank].limits[index].device == limit->device &&
                              all[rank].limits[index].inode == limit->inode);
        ranks += under && all[rank].node == mine->node;
    }
    return ranks;
}

static void share_out(const trainer *self, const host_memory *all, memory_room *out) {
    const host_memory *mine = &all[self->me->rank];
    out->host = mine->machine / self->me->local_size;
    snprintf(out->host_by, sizeof out->host_by, "the host's free memory");
    for (int index = 0; index < mine->count; index++) {
        const memory_limit *limit = &mine->limits[index];
        double share = limit->left / ranks_under(all, self->me->size, mine, limit);
        if (share >= out->host)
            continue;
        out->host = share;
        snprintf(out->host_by, sizeof out->host_by, "%s", limit->file);
    }
    out->host += memory_proportional_bytes();
    out->reserve = UNPLANNED_BYTES + UNPLANNED_SHARE * out->host;
}

static int device_room(const trainer *self, memory_room *out, ls_error *error) {
    device *device = self->engine.device;
    int64_t given = self->settings->device.memory_mb;
    size_t free_bytes, total_bytes;
    out->device = INFINITY;
    if (device->is->memory) {
        LS_TRY(device->is->memory(device, &free_bytes, &total_bytes, error));
        out->device = (double)free_bytes - UNPLANNED_DEVICE_SHARE * (double)total_bytes;
        snprintf(out->device_by, sizeof out->device_by, "the device's free memory");
    }
    if (given > 0 && (double)given * 1e6 < out->device) {
        out->device = (double)given * 1e6;
        snprintf(out->device_by, sizeof out->device_by, "--device-memory");
    }
    return LS_OK;
}

int trainer_memory_room(trainer *self, memory_room *out, ls_error *error) {
    host_memory mine = {.node = self->me->node};
    *out = (memory_room){0};
    LS_TRY(device_room(self, out, error));
    LS_TRY(self->control->is->barrier(self->control, error)); /* nobody takes any while all look */
    mine.count = memory_limits_read("", mine.limits);
    mine.machine = memory_left_bytes("");
    host_memory *all = calloc((size_t)self->me->size, sizeof *all);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = comm_allgather_bytes(self->control, &mine, all, sizeof mine, error);
    if (status == LS_OK)
        share_out(self, all, out);
    free(all);
    return status;
}

double trainer_memory_load(const trainer *self, const memory_room *room, const char **by) {
    double device = (double)memory_device_bytes(&self->memory) / room->device;
    double held = (double)memory_host_bytes(self) - (double)self->memory.program;
    double host = (held + memory_proportional_bytes() + room->reserve) / room->host;
    *by = device > host ? room->device_by : room->host_by;
    return fmax(device, host);
}
