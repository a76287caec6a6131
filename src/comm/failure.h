/* How a collective fails where no caller can be handed the failure, and what the texts say. */
#ifndef LOCKSTEP_COMM_FAILURE_H
#define LOCKSTEP_COMM_FAILURE_H

#include "comm/comm.h"

/* One collective, for texts: "allreduce of 4275594 fp32". */
typedef struct collective_name {
    const char *what; /* a literal; NULL: none */
    size_t count;
    dtype type;
} collective_name;

/* LS_FAILED: "nccl allreduce of 4275594 fp32 TROUBLE in training, epoch 1, step 37 (the device:
 * backward of step 35)". The lifeline puts rank and host in front. */
int comm_trouble(const comm_settings *settings, const char *comm, const collective_name *name,
                 const char *trouble, ls_error *error);

/* "has not ended for 300 s: ..." as the trouble. */
int comm_overdue(const comm_settings *settings, const char *comm, const collective_name *name,
                 ls_error *error);

/* Ends the job from a thread of a comm's own: from now on other threads stay where they next learn
 * of a result (base/ending.h), so that nothing that a broken collective left behind is computed
 * with, agreed on or printed. `abort_comm` (may be NULL) runs on one more thread and may hang. */
_Noreturn void comm_fail(const ls_error *error, void (*abort_comm)(void *context), void *context);

#endif
