#include "base/memory_limit.h"

#include "base/cgroup.h"

#include <stdio.h>
#include <unistd.h>

/* "max" is none; v1 says so by a number beyond any machine's. */
static void look(void *context, const char *folder) {
    static const char *const names[] = {"memory.max", "memory.limit_in_bytes"};
    double *least = context, limit;
    char path[CGROUP_PATH + 32];
    for (int index = 0; index < 2; index++) {
        snprintf(path, sizeof path, "%s/%s", folder, names[index]);
        FILE *file = fopen(path, "re");
        if (file && fscanf(file, "%lf", &limit) == 1 && limit > 0 && limit < *least)
            *least = limit;
        if (file)
            fclose(file);
    }
}

double memory_limit_bytes(const char *root) {
    double least = (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE);
    cgroup_visit(root, "memory", look, &least);
    return least;
}
