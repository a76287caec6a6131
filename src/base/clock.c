#include "base/clock.h"

#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

/* proc(5): field 22 of /proc/self/stat is the start time in clock ticks after boot. Field 2 is
 * the command in parentheses, which may itself hold spaces, so counting starts at the last ')'. */
double clock_since_process_start_seconds(void) {
    char line[1024];
    FILE *file = fopen("/proc/self/stat", "r");
    if (!file)
        return 0;
    size_t used = fread(line, 1, sizeof line - 1, file);
    fclose(file);
    line[used] = '\0';
    const char *field = strrchr(line, ')');
    unsigned long long ticks = 0;
    for (int index = 2; field && index < 22; index++) {
        field = strchr(field + 1, ' ');
    }
    if (!field || sscanf(field, "%llu", &ticks) != 1)
        return 0;
    struct timespec boot;
    clock_gettime(CLOCK_BOOTTIME, &boot);
    return (double)boot.tv_sec + 1e-9 * (double)boot.tv_nsec -
           (double)ticks / (double)sysconf(_SC_CLK_TCK);
}
