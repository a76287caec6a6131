/* Takes a device's memory until little is free, says how much, and holds it until it is ended: so
 * that another program runs out of memory with a batch of ordinary size.
 *
 *   hold_memory DEVICE MIB-TO-LEAVE SECONDS */
#include "device/device.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MIB = 1 << 20, MOST_PIECES = 4096 };

static void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "hold_memory: %s\n", error->text);
    exit(status);
}

int main(int argc, char **argv) {
    ls_error error = {0};
    device *device;
    size_t free_bytes, total_bytes;
    device_request request = {.local_size = 1, .threads = 1};
    if (argc != 4) {
        fprintf(stderr, "usage: hold_memory DEVICE MIB-TO-LEAVE SECONDS\n");
        return 2;
    }
    size_t leave = (size_t)atoi(argv[2]) * MIB;
    must(device_open(argv[1], &request, &device, &error), &error);
    if (!device->is->memory) {
        fprintf(stderr, "hold_memory: %s has no memory of its own\n", argv[1]);
        return 3;
    }
    /* In pieces: one allocation of all that is free need not succeed. */
    for (int piece = 0; piece < MOST_PIECES; piece++) {
        void *memory;
        must(device->is->memory(device, &free_bytes, &total_bytes, &error), &error);
        if (free_bytes <= leave + MIB)
            break;
        size_t rest = free_bytes - leave, step = rest > 1024 * (size_t)MIB ? rest / 2 : rest;
        must(device->is->allocate(device, step, "what is held", &memory, &error), &error);
    }
    printf("%zu MiB of %zu left free\n", free_bytes / MIB, total_bytes / MIB);
    fflush(stdout);
    sleep((unsigned)atoi(argv[3]));
    return 0; /* the memory goes with the process */
}
