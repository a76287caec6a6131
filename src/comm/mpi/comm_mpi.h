/* What the files of the mpi comm share. Every MPI call stands between mpi_lock and mpi_unlock. */
#ifndef LOCKSTEP_COMM_MPI_COMM_MPI_H
#define LOCKSTEP_COMM_MPI_COMM_MPI_H

#include "comm/comm.h"
#include "comm/message/dissemination.h"
#include "comm/message/ground.h"
#include "comm/message/pairwise.h"
#include "comm/message/ring.h"
#include "comm/node/node.h"

#include <mpi.h>
#include <stdbool.h>

enum { MPI_SLOTS = NODE_CALLS };

typedef enum {
    SLOT_FREE,
    SLOT_REQUEST,
    SLOT_RING,
    SLOT_FEW,
    SLOT_PAIRWISE,
    SLOT_NODE,
    SLOT_DONE
} slot_state;

/* A collective that has begun and was not waited for yet: a comm_work's handle. */
typedef struct slot {
    slot_state state;
    const char *what; /* for an error's text */
    MPI_Request request;
    int *counts, *displacements; /* [size]: MPI reads them until the request is done */
    ring ring;
    dissemination few; /* bytes; with the ring's scratch, as below */
    pairwise pairwise; /* with the ring's scratch: a slot is one of them */
    node_call node;
} slot;

typedef struct mpi_comm {
    comm base;
    comm_settings settings;
    MPI_Comm group_comm;                 /* settings.group; MPI_COMM_NULL: all ranks */
    MPI_Comm ring_comm, collective_comm; /* their messages never meet */
    node *node;                          /* NULL until memory was asked for */
    int next_tag;
    int order[MPI_SLOTS], outstanding; /* slots that are not done, oldest first */
    slot slots[MPI_SLOTS];
} mpi_comm;

/* A free slot, at the end of what is outstanding. */
int mpi_take_slot(mpi_comm *self, const char *what, slot_state state, slot **out, ls_error *error);

int mpi_progress(comm *base, ls_error *error);
int mpi_wait(comm *base, device_stream *stream, comm_work *work, ls_error *error);

/* True where wait() would return at once. Of a comm that comm_mpi_open made. */
bool mpi_is_done(const comm *self, const comm_work *work);

/* mpi_calls.c: the members of comm_interface that begin a collective. */
comm_allreduce_call mpi_allreduce;
comm_reduce_scatter_call mpi_reduce_scatter;
comm_allgather_call mpi_allgather;
comm_broadcast_call mpi_broadcast;
comm_reduce_call mpi_reduce;
comm_scatter_call mpi_scatter;
comm_gather_call mpi_gather;
comm_sum_tree_call mpi_sum_tree;
int mpi_offer(comm *base, device_stream *stream, void *buffer, size_t bytes, comm_work *work,
              ls_error *error);
const void *mpi_peer(const comm *base, const void *memory, int rank);
int mpi_barrier(comm *base, ls_error *error);

#endif
