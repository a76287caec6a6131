/* How busy the host's processing units and this process are, and what its CPU packages consumed:
 * counters, whose differences count. */
#ifndef LOCKSTEP_MONITOR_HOST_H
#define LOCKSTEP_MONITOR_HOST_H

#include "monitor/packages.h"

typedef struct host_counters {
    double busy_ticks, all_ticks; /* of all processing units since boot; NAN: not told */
    double own_cpu_seconds;       /* of this process, all threads */
    double package_joules;        /* of all CPU packages; NAN: not told */
    double resident_bytes;        /* of this process (statm of proc(5)); NAN: not told */
} host_counters;

typedef struct host {
    int file;           /* /proc/stat, open; -1: none */
    packages *packages; /* NULL: none that may be read */
} host;

void host_open(host *self);
void host_close(host *self);
void host_read(const host *self, host_counters *out);

/* The first line of proc(5)'s /proc/stat: user nice system idle iowait irq softirq steal; what
 * guests used is in user already. Busy is all but idle and iowait. */
void host_parse(const char *line, host_counters *out);

#endif
