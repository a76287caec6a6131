/* What the checks of limits judge: apart, so that tests can give facts that this machine has not.
 */
#ifndef LOCKSTEP_DOCTOR_PROCESS_LIMITS_H
#define LOCKSTEP_DOCTOR_PROCESS_LIMITS_H

#include "doctor/check.h"

/* Of one rank. Limits are INFINITY where there is none; counts of what is in use, -1 where they are
 * not known. `more`: what a run will want beyond. */
typedef struct limit_facts {
    int threads, granted; /* compute threads; cores of its share. 0: no binding */
    double quota_cpus;    /* launch_binding's */
    int quota_ranks;
    char quota_file[256];
    double files_limit, files_open, files_more;
    double tasks_limit, tasks_now; /* of this user, on the whole machine */
    double tasks_more;
    double group_limit,
        group_now; /* processes and threads of the control group that has least room */
    char group_file[256];
    double space_limit, space_now, space_more; /* bytes */
    char space_flag;                           /* of ulimit: 'v' address space, 'd' data */
    bool gpu;
} limit_facts;

void judge_cpu_quota(const ward *all, finding *out);
void judge_open_files(const ward *all, finding *out);
void judge_processes(const ward *all, finding *out);
void judge_address_space(const ward *all, finding *out);

#endif
