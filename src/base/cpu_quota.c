#include "base/cpu_quota.h"

#include "base/cgroup.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

typedef struct quotas {
    int count;
    cpu_quota *out;
    char (*files)[CPU_QUOTA_FILE];
} quotas;

/* "max 100000" or "-1" is none; v1 has quota and period in a file each. */
static bool read_cpus(const char *folder, const char **file, double *cpus) {
    char text[64], period_text[64];
    double quota = 0, period = 0;
    if (cgroup_read_line(folder, "cpu.max", text, sizeof text)) {
        *file = "cpu.max";
        if (sscanf(text, "%lf %lf", &quota, &period) != 2)
            return false;
    } else if (cgroup_read_line(folder, "cpu.cfs_quota_us", text, sizeof text) &&
               cgroup_read_line(folder, "cpu.cfs_period_us", period_text, sizeof period_text)) {
        *file = "cpu.cfs_quota_us";
        if (sscanf(text, "%lf", &quota) != 1 || sscanf(period_text, "%lf", &period) != 1)
            return false;
    }
    *cpus = quota / period;
    return quota > 0 && period > 0;
}

static void look(void *context, const char *folder) {
    quotas *self = context;
    struct stat facts;
    const char *file = "";
    double cpus;
    if (self->count == MOST_CPU_QUOTAS || !read_cpus(folder, &file, &cpus) ||
        stat(folder, &facts) != 0)
        return;
    self->out[self->count] = (cpu_quota){facts.st_dev, facts.st_ino, cpus};
    if (self->files)
        snprintf(self->files[self->count], CPU_QUOTA_FILE, "%.220s/%s", folder, file);
    self->count++;
}

int cpu_quota_read(const char *root, cpu_quota out[MOST_CPU_QUOTAS],
                   char files[MOST_CPU_QUOTAS][CPU_QUOTA_FILE]) {
    quotas self = {.out = out, .files = files};
    cgroup_visit(root, "cpu", look, &self);
    return self.count;
}

int cpu_quota_threads(double cpus) {
    double threads = ceil(cpus - 1e-6);
    return threads < 1 ? 1 : threads > 1e6 ? 1000000 : (int)threads;
}
