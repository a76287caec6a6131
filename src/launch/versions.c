#include "launch/versions.h"

#include "base/hash.h"

#include <hwloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ", glibc 2.36": the loss's exponentials and logarithms are its. Nothing for another C library. */
static void describe_libc(char *out, size_t capacity) {
    out[0] = '\0';
#ifdef _CS_GNU_LIBC_VERSION
    char text[64] = "";
    if (confstr(_CS_GNU_LIBC_VERSION, text, sizeof text) > 0)
        snprintf(out, capacity, ", %s", text);
#endif
}

void launch_describe_versions(const launch *self, char *out, size_t capacity) {
    unsigned version = hwloc_get_api_version();
    char pmix[96] = "", libc[80];
    describe_libc(libc, sizeof libc);
    if (self->pmix_version[0])
        snprintf(pmix, sizeof pmix, "%s%s, ", strstr(self->pmix_version, "PMIx") ? "" : "PMIx ",
                 self->pmix_version);
    snprintf(out, capacity, "%s%s%shwloc %u.%u.%u%s", self->mpi_version,
             self->mpi_version[0] ? ", " : "", pmix, version >> 16, version >> 8 & 255,
             version & 255, libc);
}

static uint64_t hash_program(void) {
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

uint64_t launch_program_hash(void) {
    static _Atomic uint64_t known; /* a checkpoint has it, and no time for a whole file */
    if (known == 0)
        known = hash_program();
    return known;
}
