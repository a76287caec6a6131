/* What the files of the mpi comm share. MPI runs at thread level SERIALIZED and more than one
 * thread of a process may hold a comm (staged.c): every MPI call stands between mpi_lock and
 * mpi_unlock, and none of them blocks. */
#ifndef LOCKSTEP_COMM_MPI_H
#define LOCKSTEP_COMM_MPI_H

#include "comm/comm.h"
#include "comm/node.h"
#include "comm/pairwise.h"
#include "comm/ring.h"

#include <mpi.h>
#include <stdbool.h>

enum { MPI_SLOTS = NODE_CALLS, MPI_TAGS = 16384 };

typedef enum { SLOT_FREE, SLOT_REQUEST, SLOT_RING, SLOT_PAIRWISE, SLOT_NODE, SLOT_DONE } slot_state;

/* A collective that has begun and was not waited for yet: a comm_work's handle. */
typedef struct slot {
    slot_state state;
    const char *what; /* for an error's text */
    MPI_Request request;
    int *counts, *displacements; /* [size]: MPI reads them until the request is done */
    ring ring;
    pairwise pairwise; /* with the ring's scratch: a slot is one of them */
    node_call node;
} slot;

typedef struct mpi_comm {
    comm base;
    comm_settings settings;
    MPI_Comm ring_comm, collective_comm; /* their messages never meet */
    node *node;                          /* NULL until memory was asked for */
    int next_tag;
    int order[MPI_SLOTS], outstanding; /* slots that are not done, oldest first */
    slot slots[MPI_SLOTS];
} mpi_comm;

void mpi_lock(void);
void mpi_unlock(void);

/* "what: MPI's text for the code". Under the lock. */
int mpi_check(int status, const char *what, ls_error *error);

/* MPI's name for a type: it only moves them. */
MPI_Datatype mpi_type(dtype type);

/* A free slot, at the end of what is outstanding. */
int mpi_take_slot(mpi_comm *self, const char *what, slot_state state, slot **out, ls_error *error);

int mpi_progress(comm *base, ls_error *error);
int mpi_wait(comm *base, device_stream *stream, comm_work *work, ls_error *error);

/* True where wait() would return at once. Of a comm that comm_mpi_open_host made. */
bool mpi_is_done(const comm *self, const comm_work *work);

/* The mpi comm on host memory, whatever settings->device is. */
int comm_mpi_open_host(const comm_settings *settings, comm **out, ls_error *error);

/* staged.c: through pinned host memory. */
int comm_staged_open(const comm_settings *settings, comm **out, ls_error *error);

/* mpi_calls.c: the members of comm_interface that begin a collective. */
int mpi_allreduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                  reduction how, comm_work *work, ls_error *error);
int mpi_reduce_scatter(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                       dtype type, reduction how, comm_work *work, ls_error *error);
int mpi_allgather(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                  dtype type, comm_work *work, ls_error *error);
int mpi_broadcast(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                  int root, comm_work *work, ls_error *error);
int mpi_reduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
               reduction how, int root, comm_work *work, ls_error *error);
int mpi_scatter(comm *base, device_stream *stream, const void *whole, void *part,
                const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error);
int mpi_gather(comm *base, device_stream *stream, const void *part, void *whole,
               const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error);
int mpi_sum_tree(comm *base, device_stream *stream, void *buffer, size_t count, int rows,
                 size_t stride, dtype type, comm_work *work, ls_error *error);
int mpi_offer(comm *base, device_stream *stream, void *buffer, size_t bytes, comm_work *work,
              ls_error *error);
const void *mpi_peer(const comm *base, const void *memory, int rank);
int mpi_barrier(comm *base, ls_error *error);

#endif
