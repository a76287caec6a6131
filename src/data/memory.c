#include "data/memory.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

static int64_t read_number(const char *path) {
    int64_t value = -1;
    FILE *file = fopen(path, "r");
    if (!file)
        return -1;
    if (fscanf(file, "%" SCNd64, &value) != 1)
        value = -1; /* "max" */
    fclose(file);
    return value;
}

static int64_t kernel_available(void) {
    char line[256];
    int64_t kibibytes = -1;
    FILE *file = fopen("/proc/meminfo", "r");
    if (!file)
        return INT64_MAX;
    while (kibibytes < 0 && fgets(line, sizeof line, file))
        sscanf(line, "MemAvailable: %" SCNd64 " kB", &kibibytes);
    fclose(file);
    return kibibytes < 0 ? INT64_MAX : kibibytes * 1024;
}

/* File pages that the group could give up count as used there; they are given back here. */
static int64_t reclaimable(const char *folder, const char *key) {
    char path[4352], line[256], name[128];
    int64_t value = 0, found = 0;
    snprintf(path, sizeof path, "%s/memory.stat", folder);
    FILE *file = fopen(path, "r");
    if (!file)
        return 0;
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%127s %" SCNd64, name, &value) == 2 && strcmp(name, key) == 0)
            found = value;
    fclose(file);
    return found;
}

static int64_t group_available(const char *folder, const char *limit_name, const char *usage_name,
                               const char *reclaimable_key) {
    char path[4352];
    snprintf(path, sizeof path, "%s/%s", folder, limit_name);
    int64_t limit = read_number(path);
    snprintf(path, sizeof path, "%s/%s", folder, usage_name);
    int64_t usage = read_number(path);
    if (limit < 0 || usage < 0)
        return INT64_MAX;
    int64_t left = limit - usage + reclaimable(folder, reclaimable_key);
    return left > 0 ? left : 0;
}

/* Walks from this process's group up to the root: each may set a limit. */
static int64_t hierarchy_available(const char *root, char *group, int version) {
    int64_t least = INT64_MAX;
    for (;;) {
        char folder[4224];
        snprintf(folder, sizeof folder, "%s%s", root, group);
        int64_t left =
            version == 2 ? group_available(folder, "memory.max", "memory.current", "inactive_file")
                         : group_available(folder, "memory.limit_in_bytes", "memory.usage_in_bytes",
                                           "total_inactive_file");
        least = left < least ? left : least;
        char *slash = strrchr(group, '/');
        if (!slash)
            return least;
        *slash = '\0';
    }
}

/* cgroups(7): "0::/path" is version 2, "N:memory:/path" version 1. */
static int64_t groups_available(void) {
    char line[4096];
    int64_t least = INT64_MAX;
    FILE *file = fopen("/proc/self/cgroup", "r");
    if (!file)
        return INT64_MAX;
    while (fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *group = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!group)
            continue;
        *group++ = '\0';
        int64_t left = INT64_MAX;
        if (controllers[1] == '\0')
            left = hierarchy_available("/sys/fs/cgroup", group, 2);
        else if (strstr(controllers, "memory"))
            left = hierarchy_available("/sys/fs/cgroup/memory", group, 1);
        least = left < least ? left : least;
    }
    fclose(file);
    return least;
}

int64_t memory_available_bytes(void) {
    int64_t kernel = kernel_available(), groups = groups_available();
    return kernel < groups ? kernel : groups;
}

void *memory_map(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        return NULL;
    madvise(memory, bytes, MADV_HUGEPAGE); /* advice: without huge pages it works as well */
    return memory;
}

void *memory_grow(void *memory, size_t bytes, size_t grown_bytes) {
    void *grown = mremap(memory, bytes, grown_bytes, MREMAP_MAYMOVE);
    return grown == MAP_FAILED ? NULL : grown;
}

void memory_unmap(void *memory, size_t bytes) {
    if (memory)
        munmap(memory, bytes);
}
