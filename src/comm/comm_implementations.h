/* How each implementation of comm.h is opened: called by comm_open() only. */
#ifndef LOCKSTEP_COMM_IMPLEMENTATIONS_H
#define LOCKSTEP_COMM_IMPLEMENTATIONS_H

#include "comm/comm.h"

int comm_alone_open(int rank, int size, comm **out, ls_error *error);
int comm_mpi_open(int rank, int size, comm **out, ls_error *error);

#endif
