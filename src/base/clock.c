#include "base/clock.h"

#include "base/process.h"

#include <time.h>
#include <unistd.h>

double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double clock_since_process_start_seconds(void) {
    unsigned long long ticks = process_start_ticks("self");
    struct timespec boot;
    if (!ticks)
        return 0;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)boot.tv_sec + 1e-9 * (double)boot.tv_nsec -
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}

double clock_cpu_seconds(void) {
    struct timespec used;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec + 1e-9 * (double)used.tv_nsec;
}
