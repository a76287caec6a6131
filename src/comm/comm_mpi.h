/* What the files of the mpi comm share. */
#ifndef LOCKSTEP_COMM_MPI_H
#define LOCKSTEP_COMM_MPI_H

#include "comm/comm.h"

#include <mpi.h>

/* "what: MPI's text for the code". */
int mpi_check(int status, const char *what, ls_error *error);

/* MPI's name for a type: as numbers where they are reduced, as bits where they only move. */
MPI_Datatype mpi_type(dtype type);
MPI_Op mpi_operation(reduction how);

#endif
