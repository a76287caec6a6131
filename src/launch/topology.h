/* hwloc's view of this node, and of the cores that a rank may use. */
#ifndef LOCKSTEP_LAUNCH_TOPOLOGY_H
#define LOCKSTEP_LAUNCH_TOPOLOGY_H

#include "base/error.h"
#include "launch/launch.h"

#include <hwloc.h>

struct launch_topology {
    hwloc_topology_t hwloc;
    hwloc_obj_type_t core_type; /* HWLOC_OBJ_CORE, or HWLOC_OBJ_PU where the system shows none */
};

int topology_open(launch_topology **out, ls_error *error);
void topology_close(launch_topology *self); /* NULL is fine */

#endif
