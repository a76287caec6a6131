/* The mpi comm: MPI on memory that the host can address. Reductions and all-gathers run in ring.c,
 * the rest are Open MPI's own non-blocking collectives. Nothing advances unless this rank calls
 * progress or wait, which advance all that is outstanding, in the order in which it began. */
#include "comm/comm_implementations.h"
#include "comm/comm_mpi.h"
#include "comm/reduce.h"
#include "comm/ring.h"

#include <limits.h>
#include <sched.h>
#include <stdlib.h>

enum { SLOTS = 32, TAGS = 16384 };

typedef enum { SLOT_FREE, SLOT_REQUEST, SLOT_RING, SLOT_DONE } slot_state;

typedef struct slot {
    slot_state state;
    const char *what; /* for an error's text */
    MPI_Request request;
    int *counts, *displacements; /* [size]: MPI reads them until the request is done */
    ring ring;
} slot;

typedef struct mpi_comm {
    comm base;
    MPI_Comm ring_comm, collective_comm; /* their messages never meet */
    int next_tag;
    int order[SLOTS], outstanding; /* slots that are not done, oldest first */
    slot slots[SLOTS];
} mpi_comm;

int mpi_check(int status, const char *what, ls_error *error) {
    char text[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (status == MPI_SUCCESS)
        return LS_OK;
    if (MPI_Error_string(status, text, &length) != MPI_SUCCESS)
        return ls_fail(error, LS_FAILED, "%s: MPI error %d", what, status);
    return ls_fail(error, LS_FAILED, "%s: %s", what, text);
}

MPI_Datatype mpi_type(dtype type) {
    switch (type) {
    case DTYPE_F32:
        return MPI_FLOAT;
    case DTYPE_F64:
        return MPI_DOUBLE;
    case DTYPE_BF16:
    case DTYPE_F16:
        return MPI_UINT16_T;
    case DTYPE_U8:
        return MPI_UINT8_T;
    case DTYPE_I32:
        return MPI_INT32_T;
    case DTYPE_I64:
        return MPI_INT64_T;
    }
    return MPI_DATATYPE_NULL;
}

MPI_Op mpi_operation(reduction how) {
    return how == REDUCTION_SUM ? MPI_SUM : how == REDUCTION_MAX ? MPI_MAX : MPI_MIN;
}

/* ---- slots */

static int take_slot(mpi_comm *self, const char *what, slot_state state, slot **out,
                     ls_error *error) {
    for (int index = 0; index < SLOTS; index++)
        if (self->slots[index].state == SLOT_FREE) {
            *out = &self->slots[index];
            (*out)->state = state;
            (*out)->what = what;
            self->order[self->outstanding++] = index;
            return LS_OK;
        }
    return ls_fail(error, LS_FAILED, "%s: %d collectives are outstanding, more than comm holds",
                   what, SLOTS);
}

static int refuse_type(const char *what, dtype type, ls_error *error) {
    if (reduce_supports(type))
        return LS_OK;
    return ls_fail(error, LS_FAILED, "%s: the mpi comm does not reduce %s yet", what,
                   dtype_name(type));
}

/* MPI counts in int. */
static int refuse_count(const char *what, int64_t count, ls_error *error) {
    if (count >= 0 && count <= INT_MAX)
        return LS_OK;
    return ls_fail(error, LS_FAILED, "%s: %lld elements in one call, MPI takes at most %d", what,
                   (long long)count, INT_MAX);
}

static int advance(slot *each, ls_error *error) {
    bool done = false;
    int flag = 0;
    if (each->state == SLOT_RING) {
        LS_TRY(ring_advance(&each->ring, &done, error));
    } else {
        LS_TRY(mpi_check(MPI_Test(&each->request, &flag, MPI_STATUS_IGNORE), each->what, error));
        done = flag;
    }
    if (done)
        each->state = SLOT_DONE;
    return LS_OK;
}

static int mpi_progress(comm *base, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    int kept = 0, status = LS_OK;
    for (int index = 0; index < self->outstanding; index++) {
        slot *each = &self->slots[self->order[index]];
        if (status == LS_OK)
            status = advance(each, error);
        if (each->state != SLOT_DONE)
            self->order[kept++] = self->order[index];
    }
    self->outstanding = kept;
    return status;
}

static int mpi_wait(comm *base, device_stream *stream, comm_work *work, ls_error *error) {
    slot *mine = work->handle;
    (void)stream;
    if (!mine)
        return LS_OK;
    while (mine->state != SLOT_DONE) {
        LS_TRY(mpi_progress(base, error));
        sched_yield(); /* where two ranks share a core, the peer may be the one that must run */
    }
    mine->state = SLOT_FREE;
    work->handle = NULL;
    return LS_OK;
}

/* ---- rings */

/* counts NULL: `count` elements in equal blocks. */
static int begin_ring(mpi_comm *self, const char *what, void *buffer, const int64_t *counts,
                      size_t count, dtype type, reduction how, bool reduce, bool gather,
                      comm_work *work, ls_error *error) {
    slot *mine = NULL;
    LS_TRY(take_slot(self, what, SLOT_RING, &mine, error));
    int64_t *first = mine->ring.first;
    for (int rank = 0; rank < self->base.size; rank++)
        first[rank + 1] = counts ? first[rank] + counts[rank]
                                 : (int64_t)(count * ((size_t)rank + 1) / (size_t)self->base.size);
    ring_begin(&mine->ring, self->next_tag, buffer, type, how, reduce, gather);
    self->next_tag = (self->next_tag + 1) % TAGS;
    work->handle = mine;
    return mpi_progress(&self->base, error);
}

static int mpi_allreduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                         reduction how, comm_work *work, ls_error *error) {
    (void)stream;
    LS_TRY(refuse_type("allreduce", type, error));
    return begin_ring((mpi_comm *)base, "allreduce", buffer, NULL, count, type, how, true, true,
                      work, error);
}

static int mpi_reduce_scatter(comm *base, device_stream *stream, void *buffer,
                              const int64_t *counts, dtype type, reduction how, comm_work *work,
                              ls_error *error) {
    (void)stream;
    LS_TRY(refuse_type("reduce_scatter", type, error));
    return begin_ring((mpi_comm *)base, "reduce_scatter", buffer, counts, 0, type, how, true, false,
                      work, error);
}

static int mpi_allgather(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                         dtype type, comm_work *work, ls_error *error) {
    (void)stream;
    return begin_ring((mpi_comm *)base, "allgather", buffer, counts, 0, type, REDUCTION_SUM, false,
                      true, work, error);
}

/* ---- Open MPI's own */

/* The request has begun (or not: status): hand it to the caller. */
static int hand_out(mpi_comm *self, slot *mine, int status, comm_work *work, ls_error *error) {
    LS_TRY(mpi_check(status, mine->what, error));
    work->handle = mine;
    return mpi_progress(&self->base, error);
}

static int mpi_broadcast(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                         int root, comm_work *work, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    slot *mine = NULL;
    (void)stream;
    LS_TRY(refuse_count("broadcast", (int64_t)count, error));
    LS_TRY(take_slot(self, "broadcast", SLOT_REQUEST, &mine, error));
    int status =
        MPI_Ibcast(buffer, (int)count, mpi_type(type), root, self->collective_comm, &mine->request);
    return hand_out(self, mine, status, work, error);
}

static int mpi_reduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                      reduction how, int root, comm_work *work, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    bool is_root = base->rank == root;
    slot *mine = NULL;
    (void)stream;
    LS_TRY(refuse_type("reduce", type, error));
    LS_TRY(refuse_count("reduce", (int64_t)count, error));
    LS_TRY(take_slot(self, "reduce", SLOT_REQUEST, &mine, error));
    int status = MPI_Ireduce(is_root ? MPI_IN_PLACE : buffer, is_root ? buffer : NULL, (int)count,
                             mpi_type(type), mpi_operation(how), root, self->collective_comm,
                             &mine->request);
    return hand_out(self, mine, status, work, error);
}

/* A slot with MPI's int counts and displacements. */
static int take_counted_slot(mpi_comm *self, const char *what, const int64_t *counts, slot **out,
                             ls_error *error) {
    int64_t total = 0;
    for (int rank = 0; rank < self->base.size; rank++) {
        LS_TRY(refuse_count(what, counts[rank], error));
        total += counts[rank];
    }
    LS_TRY(refuse_count(what, total, error));
    LS_TRY(take_slot(self, what, SLOT_REQUEST, out, error));
    int first = 0;
    for (int rank = 0; rank < self->base.size; rank++) {
        (*out)->counts[rank] = (int)counts[rank];
        (*out)->displacements[rank] = first;
        first += (int)counts[rank];
    }
    return LS_OK;
}

static int mpi_scatter(comm *base, device_stream *stream, const void *whole, void *part,
                       const int64_t *counts, dtype type, int root, comm_work *work,
                       ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    slot *mine = NULL;
    (void)stream;
    LS_TRY(take_counted_slot(self, "scatter", counts, &mine, error));
    int status = MPI_Iscatterv(whole, mine->counts, mine->displacements, mpi_type(type), part,
                               mine->counts[base->rank], mpi_type(type), root,
                               self->collective_comm, &mine->request);
    return hand_out(self, mine, status, work, error);
}

static int mpi_gather(comm *base, device_stream *stream, const void *part, void *whole,
                      const int64_t *counts, dtype type, int root, comm_work *work,
                      ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    slot *mine = NULL;
    (void)stream;
    LS_TRY(take_counted_slot(self, "gather", counts, &mine, error));
    int status = MPI_Igatherv(part, mine->counts[base->rank], mpi_type(type), whole, mine->counts,
                              mine->displacements, mpi_type(type), root, self->collective_comm,
                              &mine->request);
    return hand_out(self, mine, status, work, error);
}

/* Not MPI_Barrier: a rank that blocks in it would not advance the rings that others wait for. */
static int mpi_barrier(comm *base, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    comm_work work = {0};
    slot *mine = NULL;
    LS_TRY(take_slot(self, "barrier", SLOT_REQUEST, &mine, error));
    LS_TRY(hand_out(self, mine, MPI_Ibarrier(self->collective_comm, &mine->request), &work, error));
    return mpi_wait(base, NULL, &work, error);
}

/* ---- open and close */

static void mpi_close(comm *base) {
    mpi_comm *self = (mpi_comm *)base;
    for (int index = 0; index < SLOTS; index++) {
        ring_release(&self->slots[index].ring);
        free(self->slots[index].counts);
        free(self->slots[index].displacements);
    }
    if (self->ring_comm != MPI_COMM_NULL)
        MPI_Comm_free(&self->ring_comm);
    if (self->collective_comm != MPI_COMM_NULL)
        MPI_Comm_free(&self->collective_comm);
    free(self);
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
    .barrier = mpi_barrier,
    .progress = mpi_progress,
    .wait = mpi_wait,
    .close = mpi_close,
};

/* Everything that a collective needs is had here, so that none allocates. */
static int allocate(mpi_comm *self, ls_error *error) {
    for (int index = 0; index < SLOTS; index++) {
        slot *each = &self->slots[index];
        LS_TRY(
            ring_allocate(&each->ring, self->ring_comm, self->base.rank, self->base.size, error));
        each->counts = calloc((size_t)self->base.size, sizeof *each->counts);
        each->displacements = calloc((size_t)self->base.size, sizeof *each->displacements);
        if (!each->counts || !each->displacements)
            return ls_fail(error, LS_FAILED, "no memory for the mpi comm");
    }
    return LS_OK;
}

static int open_comms(mpi_comm *self, ls_error *error) {
    int initialised = 0, rank = -1, size = -1;
    MPI_Initialized(&initialised);
    if (!initialised)
        return ls_fail(error, LS_BAD_LAUNCH, "comm mpi: MPI is not started (one process alone)");
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &size);
    if (rank != self->base.rank || size != self->base.size)
        return ls_fail(error, LS_FAILED, "comm mpi: rank %d of %d asked for, MPI has %d of %d",
                       self->base.rank, self->base.size, rank, size);
    LS_TRY(mpi_check(MPI_Comm_dup(MPI_COMM_WORLD, &self->ring_comm), "MPI_Comm_dup", error));
    LS_TRY(mpi_check(MPI_Comm_dup(MPI_COMM_WORLD, &self->collective_comm), "MPI_Comm_dup", error));
    MPI_Comm_set_errhandler(self->ring_comm, MPI_ERRORS_RETURN);
    MPI_Comm_set_errhandler(self->collective_comm, MPI_ERRORS_RETURN);
    return LS_OK;
}

int comm_mpi_open(const comm_settings *settings, comm **out, ls_error *error) {
    mpi_comm *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the mpi comm");
    self->base = (comm){.is = &mpi_interface, .rank = settings->rank, .size = settings->size};
    self->ring_comm = self->collective_comm = MPI_COMM_NULL;
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
