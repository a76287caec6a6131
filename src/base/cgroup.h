/* The control groups that this process is in: where a container's or a job's limits stand. */
#ifndef LOCKSTEP_BASE_CGROUP_H
#define LOCKSTEP_BASE_CGROUP_H

#include <stdbool.h>

enum { CGROUP_PATH = 512 };

/* Calls `visit` with each folder of this process's groups that may have the controller's files
 * ("cpu", "pids"), from its own outwards up to what is mounted here; of cgroup v1's hierarchy of
 * the controller and of v2's, for a machine may have both. Some of these folders lack the files:
 * the root has no limits. `root`: "" for this machine; tests give a folder that holds
 * proc/self/cgroup, proc/self/mountinfo and what is mounted. Formats: cgroups(7), proc(5). */
void cgroup_visit(const char *root, const char *controller,
                  void (*visit)(void *context, const char *folder), void *context);

/* The first line of a file of such a folder; false where there is none. */
bool cgroup_read_line(const char *folder, const char *name, char *out, int capacity);

#endif
