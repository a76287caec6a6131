/* What the checks of memory judge: apart, so that tests can give facts that this machine has not.
 */
#ifndef LOCKSTEP_DOCTOR_NODE_MEMORY_H
#define LOCKSTEP_DOCTOR_NODE_MEMORY_H

#include "doctor/check.h"

typedef struct memory_facts {
    char shared[128];            /* the folder */
    double shared_free_bytes;    /* -1 unknown */
    char temporary[128];         /* TMPDIR */
    double temporary_free_bytes; /* -1 unknown */
    double locked_bytes;         /* limit of this process; INFINITY: none */
    bool rdma, gpu;              /* what locks memory */
} memory_facts;

void judge_shared_memory(const ward *all, finding *out);
void judge_locked_memory(const ward *all, finding *out);

#endif
