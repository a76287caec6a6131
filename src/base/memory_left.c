#include "base/memory_left.h"

#include "base/cgroup.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* As far as a limit is one: without, v1 says the most pages that a counter holds. */
static const double NO_LIMIT = 1e18;

typedef struct limits {
    int count;
    memory_limit *out;
} limits;

static bool read_bytes(const char *folder, const char *name, double *out) {
    char text[64];
    return cgroup_read_line(folder, name, text, sizeof text) && sscanf(text, "%lf", out) == 1;
}

/* The sum of these lines of a file of "name value"; what it lacks counts as 0. */
static double sum_of(const char *path, const char *const *names) {
    char line[256], name[64];
    double sum = 0, value;
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        if (sscanf(line, "%63s %lf", name, &value) != 2)
            continue;
        for (const char *const *wanted = names; *wanted; wanted++)
            sum += strcmp(name, *wanted) == 0 ? value : 0;
    }
    if (file)
        fclose(file);
    return sum;
}

/* Pages of files, which go where memory is needed. */
static double given_back(const char *folder, bool first_version) {
    static const char *const names[] = {"inactive_file", "active_file", "slab_reclaimable", NULL};
    static const char *const before[] = {"total_inactive_file", "total_active_file", NULL};
    char path[CGROUP_PATH + 32];
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    return sum_of(path, first_version ? before : names);
}

static void look(void *context, const char *folder) {
    limits *self = context;
    struct stat facts;
    double limit, used, soft;
    const char *file = "memory.max";
    bool first_version = read_bytes(folder, "memory.limit_in_bytes", &limit);
    if (first_version)
        file = "memory.limit_in_bytes";
    else if (!read_bytes(folder, file, &limit)) /* "max" */
        limit = INFINITY;
    if (!first_version && read_bytes(folder, "memory.high", &soft) && soft < limit) {
        limit = soft; /* beyond it a group is slowed down until it hardly moves */
        file = "memory.high";
    }
    if (!(limit < NO_LIMIT) || self->count == MOST_MEMORY_LIMITS || stat(folder, &facts) != 0 ||
        !read_bytes(folder, first_version ? "memory.usage_in_bytes" : "memory.current", &used))
        return;
    memory_limit *out = &self->out[self->count++];
    *out = (memory_limit){.device = facts.st_dev, .inode = facts.st_ino, .bytes = limit};
    out->left = fmax(limit - used + given_back(folder, first_version), 0);
    snprintf(out->file, sizeof out->file, "%.220s/%s", folder, file);
}

int memory_limits_read(const char *root, memory_limit out[MOST_MEMORY_LIMITS]) {
    limits self = {.out = out};
    cgroup_visit(root, "memory", look, &self);
    return self.count;
}

double memory_limit_bytes(const char *root) {
    memory_limit found[MOST_MEMORY_LIMITS];
    double least = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    int count = memory_limits_read(root, found);
    for (int index = 0; index < count; index++)
        least = fmin(least, found[index].bytes);
    return least;
}

double memory_left_bytes(const char *root) {
    static const char *const names[] = {"MemAvailable:", NULL};
    char path[CGROUP_PATH];
    snprintf(path, sizeof path, "%s/proc/meminfo", root);
    double kilobytes = sum_of(path, names);
    return kilobytes > 0 ? kilobytes * 1024 : INFINITY;
}
