/* Versions of what launched this job, for the header. */
#ifndef LOCKSTEP_LAUNCH_VERSIONS_H
#define LOCKSTEP_LAUNCH_VERSIONS_H

#include "launch/launch.h"

#include <stddef.h>

/* "Open MPI 4.1.4, PMIx 4.2.2, hwloc 2.9.0"; without the first two when alone. */
void launch_describe_versions(const launch *self, char *out, size_t capacity);

#endif
