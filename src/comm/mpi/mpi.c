/* The mpi comm: MPI on memory that the host can address (staged.c puts other memory through such a
 * comm). Reductions and all-gathers run in ring.c (of a few bytes: dissemination.c), the rest are
 * Open MPI's own non-blocking collectives (mpi_calls.c). Nothing advances unless this rank calls
 * progress or wait, which advance all that is outstanding, in the order in which it began. */
#include "comm/comm_implementations.h"
#include "comm/mpi/comm_mpi.h"
#include "device/device.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

static void mpi_close(comm *base) {
    mpi_comm *self = (mpi_comm *)base;
    node_close(self->node);
    for (int index = 0; index < MPI_SLOTS; index++) {
        ring_release(&self->slots[index].ring);
        pairwise_release(&self->slots[index].pairwise);
        free(self->slots[index].counts);
        free(self->slots[index].displacements);
    }
    mpi_lock();
    if (self->ring_comm != MPI_COMM_NULL)
        MPI_Comm_free(&self->ring_comm);
    if (self->collective_comm != MPI_COMM_NULL)
        MPI_Comm_free(&self->collective_comm);
    if (self->group_comm != MPI_COMM_NULL)
        MPI_Comm_free(&self->group_comm);
    mpi_unlock();
    free(self);
}

/* Shared with the node's other ranks; where that cannot be, plain, and the note says why. */
static int mpi_allocate(comm *base, size_t bytes, const char *what, void **out, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    char why[NODE_WHY] = "";
    if (!self->node)
        LS_TRY(node_open(base, self->settings.host, &self->node, error));
    LS_TRY(node_allocate(self->node, bytes, out, why, error));
    if (*out)
        snprintf(base->note, sizeof base->note, "shared memory inside a node");
    else if (why[0])
        snprintf(base->note, sizeof base->note, "no shared memory inside a node: %.*s",
                 NODE_WHY - 36, why);
    if (*out)
        return LS_OK;
    return comm_plain_allocate(self->settings.device, bytes, what, out, error);
}

static int mpi_allocate_common(comm *base, size_t bytes, void **out, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    if (!self->node)
        LS_TRY(node_open(base, self->settings.host, &self->node, error));
    return node_allocate_common(self->node, bytes, out, error);
}

static void mpi_release(comm *base, void *memory) {
    mpi_comm *self = (mpi_comm *)base;
    if (!self->node || !node_release(self->node, memory))
        comm_plain_release(self->settings.device, memory);
}

static const comm_interface mpi_interface = {
    .name = "mpi",
    .allreduce = mpi_allreduce,
    .reduce_scatter = mpi_reduce_scatter,
    .allgather = mpi_allgather,
    .broadcast = mpi_broadcast,
    .reduce = mpi_reduce,
    .scatter = mpi_scatter,
    .gather = mpi_gather,
    .sum_tree = mpi_sum_tree,
    .offer = mpi_offer,
    .peer = mpi_peer,
    .barrier = mpi_barrier,
    .allocate = mpi_allocate,
    .allocate_common = mpi_allocate_common,
    .release = mpi_release,
    .progress = mpi_progress,
    .wait = mpi_wait,
    .is_done = mpi_is_done,
    .close = mpi_close,
};

/* Everything that a collective needs is had here, so that none allocates. */
static int allocate(mpi_comm *self, ls_error *error) {
    for (int index = 0; index < MPI_SLOTS; index++) {
        slot *each = &self->slots[index];
        LS_TRY(
            ring_allocate(&each->ring, self->ring_comm, self->base.rank, self->base.size, error));
        each->few = (dissemination){
            .comm = self->ring_comm, .rank = self->base.rank, .size = self->base.size};
        LS_TRY(pairwise_allocate(&each->pairwise, self->ring_comm, self->base.size,
                                 each->ring.scratch, (size_t)RING_WINDOW * RING_CHUNK_BYTES,
                                 error));
        each->counts = calloc((size_t)self->base.size, sizeof *each->counts);
        each->displacements = calloc((size_t)self->base.size, sizeof *each->displacements);
        if (!each->counts || !each->displacements)
            return ls_fail(error, LS_FAILED, "no memory for the mpi comm");
    }
    return LS_OK;
}

/* MPI_Comm_dup would block under the lock. */
static int duplicate(MPI_Comm from, MPI_Comm *out, ls_error *error) {
    MPI_Request request;
    int done = 0;
    mpi_lock();
    int status = mpi_check(MPI_Comm_idup(from, out, &request), "MPI_Comm_idup", error);
    mpi_unlock();
    while (status == LS_OK && !done) {
        sched_yield();
        mpi_lock();
        status = mpi_check(MPI_Test(&request, &done, MPI_STATUS_IGNORE), "MPI_Comm_idup", error);
        mpi_unlock();
    }
    return status;
}

/* It blocks, under the lock: nothing of this rank is on its way while a comm is opened. */
static int split(mpi_comm *self, ls_error *error) {
    if (self->settings.group == 0)
        return LS_OK;
    mpi_lock();
    int status =
        mpi_check(MPI_Comm_split(MPI_COMM_WORLD, self->settings.group, 0, &self->group_comm),
                  "MPI_Comm_split", error);
    mpi_unlock();
    return status;
}

static int open_comms(mpi_comm *self, ls_error *error) {
    int initialised = 0, rank = -1, size = -1;
    MPI_Initialized(&initialised);
    if (!initialised)
        return ls_fail(error, LS_BAD_LAUNCH, "comm mpi: MPI is not started (one process alone)");
    LS_TRY(split(self, error));
    MPI_Comm all = self->settings.group == 0 ? MPI_COMM_WORLD : self->group_comm;
    MPI_Comm_rank(all, &rank);
    MPI_Comm_size(all, &size);
    if (rank != self->base.rank || size != self->base.size)
        return ls_fail(error, LS_FAILED, "comm mpi: rank %d of %d asked for, MPI has %d of %d",
                       self->base.rank, self->base.size, rank, size);
    LS_TRY(duplicate(all, &self->ring_comm, error));
    LS_TRY(duplicate(all, &self->collective_comm, error));
    MPI_Comm_set_errhandler(self->ring_comm, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(self->collective_comm, MPI_ERRORS_RETURN);
    return LS_OK;
}

int comm_mpi_open(const comm_settings *settings, comm **out, ls_error *error) {
    mpi_comm *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the mpi comm");
    self->base = (comm){.is = &mpi_interface, .rank = settings->rank, .size = settings->size};
    self->settings = *settings;
    self->group_comm = self->ring_comm = self->collective_comm = MPI_COMM_NULL;
    int status = open_comms(self, error);
    if (status == LS_OK)
        status = allocate(self, error);
    if (status != LS_OK) {
        mpi_close(&self->base);
        return status;
    }
    *out = &self->base;
    return LS_OK;
}
