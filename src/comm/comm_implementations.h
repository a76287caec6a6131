/* How each implementation of comm.h is opened: called by comm_open() only, which has checked that
 * it fits the settings on every rank. Collective over settings->control. */
#ifndef LOCKSTEP_COMM_IMPLEMENTATIONS_H
#define LOCKSTEP_COMM_IMPLEMENTATIONS_H

#include "comm/comm.h"

int comm_alone_open(const comm_settings *settings, comm **out, ls_error *error);
/* On host memory, whatever settings->device is. */
int comm_mpi_open(const comm_settings *settings, comm **out, ls_error *error);
/* Such a comm through pinned host memory, for memory that the host cannot address. */
int comm_staged_open(const comm_settings *settings, comm **out, ls_error *error);
#ifdef LOCKSTEP_NCCL
int comm_nccl_open(const comm_settings *settings, comm **out, ls_error *error);
#endif

#endif
