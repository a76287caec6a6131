/* The two sources of rank and topology that launch.c compares: PMIx and SLURM_*. */
#ifndef LOCKSTEP_LAUNCH_SOURCES_H
#define LOCKSTEP_LAUNCH_SOURCES_H

#include "base/error.h"
#include "launch/launch.h"

#include <stdbool.h>
#include <stddef.h>

/* The environment names a PMIx server and who this process is to it. */
bool pmix_offered(void);

/* PMIx_Init, then fills rank, size, local rank and size, node, node count, host, launcher and
 * PMIx's version. May be called again, by one thread at a time; pmix_finish undoes all of them. */
int pmix_start(launch *self, ls_error *error);
int pmix_finish(ls_error *error);

/* Somebody in this process (MPI, say) has started PMIx and is connected to its server. Waits where
 * that is just being done. Any thread, any time. */
bool pmix_is_up(void);

/* Of this job's ranks, after pmix_start. */
const char *pmix_namespace(void);

/* PMIx_Abort: the launcher kills every rank of the step. What MPI calls by that name comes to
 * pmix_abort.c first, which lets the lifeline speak. */
void pmix_abort(int code);

/* srun started several tasks, and none of them is offered a PMIx server: LS_BAD_LAUNCH. */
int slurm_refuse_without_pmix(ls_error *error);

/* Where srun started this rank: SLURM_* must say what PMIx says. */
int slurm_check(const launch *self, ls_error *error);

void slurm_job_id(char *out, size_t capacity);

#endif
