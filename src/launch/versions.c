#include "launch/versions.h"

#include "base/hash.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>

void launch_describe_versions(const launch *self, char *out, size_t capacity) {
    unsigned version = hwloc_get_api_version();
    char pmix[96] = "";
    if (self->pmix_version[0])
        snprintf(pmix, sizeof pmix, "%s%s, ", strstr(self->pmix_version, "PMIx") ? "" : "PMIx ",
                 self->pmix_version);
    snprintf(out, capacity, "%s%s%shwloc %u.%u.%u", self->mpi_version,
             self->mpi_version[0] ? ", " : "", pmix, version >> 16, version >> 8 & 255,
             version & 255);
}

uint64_t launch_program_hash(void) {
    uint64_t hash = HASH_START;
    unsigned char block[65536];
    FILE *file = fopen("/proc/self/exe", "rb");
    if (!file)
        return 0;
    for (size_t count; (count = fread(block, 1, sizeof block, file)) > 0;)
        hash = hash_bytes(hash, block, count);
    fclose(file);
    return hash;
}
