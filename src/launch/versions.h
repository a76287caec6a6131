/* Versions of what launched this job, for the header. */
#ifndef LOCKSTEP_LAUNCH_VERSIONS_H
#define LOCKSTEP_LAUNCH_VERSIONS_H

#include "launch/launch.h"

#include <stddef.h>
#include <stdint.h>

/* "Open MPI 4.1.4, PMIx 4.2.2, hwloc 2.9.0, glibc 2.36"; without the first two when alone. */
void launch_describe_versions(const launch *self, char *out, size_t capacity);

/* Of this program's file: two builds of one version are two programs. 0 where it cannot be read. */
uint64_t launch_program_hash(void);

#endif
