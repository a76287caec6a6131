#include "monitor/host.h"

#include "base/clock.h"

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <unistd.h>

void host_open(host *self) {
    ls_error why = {0}; /* monitor_packages_note() tells it */
    self->file = open("/proc/stat", O_RDONLY | O_CLOEXEC);
    packages_open(&self->packages, &why);
}

void host_close(host *self) {
    if (self->file >= 0)
        close(self->file);
    self->file = -1;
    packages_close(self->packages);
    self->packages = NULL;
}

void host_parse(const char *line, host_counters *out) {
    unsigned long long user, nice, system, idle, wait, irq, softirq, steal;
    out->busy_ticks = out->all_ticks = NAN;
    if (sscanf(line, "cpu %llu %llu %llu %llu %llu %llu %llu %llu", &user, &nice, &system, &idle,
               &wait, &irq, &softirq, &steal) != 8)
        return;
    out->busy_ticks = (double)(user + nice + system + irq + softirq + steal);
    out->all_ticks = out->busy_ticks + (double)(idle + wait);
}

static double resident_bytes(void) {
    char line[128];
    unsigned long long size, resident;
    int file = open("/proc/self/statm", O_RDONLY | O_CLOEXEC);
    ssize_t length = file >= 0 ? read(file, line, sizeof line - 1) : -1;
    if (file >= 0)
        close(file);
    line[length > 0 ? length : 0] = '\0';
    if (sscanf(line, "%llu %llu", &size, &resident) != 2)
        return NAN;
    return (double)resident * (double)sysconf(_SC_PAGESIZE);
}

void host_read(const host *self, host_counters *out) {
    char line[256];
    ssize_t length = self->file >= 0 ? pread(self->file, line, sizeof line - 1, 0) : -1;
    line[length > 0 ? length : 0] = '\0';
    host_parse(line, out);
    out->own_cpu_seconds = clock_cpu_seconds();
    out->package_joules = packages_joules(self->packages);
    out->resident_bytes = resident_bytes();
}
