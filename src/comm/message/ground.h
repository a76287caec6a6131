/* What all that calls MPI stands on. MPI runs at thread level SERIALIZED, and more than one thread
 * of a process may hold a comm (comm/staged): every MPI call stands between mpi_lock and
 * mpi_unlock, and none of them blocks. */
#ifndef LOCKSTEP_COMM_MESSAGE_GROUND_H
#define LOCKSTEP_COMM_MESSAGE_GROUND_H

#include "base/dtype.h"
#include "base/error.h"

#include <mpi.h>

/* Tags that collectives take in turn. A collective of two kinds of messages (pairwise.h) has its
 * own and that one + MPI_TAGS. */
enum { MPI_TAGS = 16384 };

void mpi_lock(void);
void mpi_unlock(void);

/* "what: MPI's text for the code", LS_FAILED. Under the lock. */
int mpi_check(int status, const char *what, ls_error *error);

/* MPI's name for a type: it only moves them. */
MPI_Datatype mpi_type(dtype type);

#endif
