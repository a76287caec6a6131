/* How the mpi comm's collectives begin: reductions and all-gathers in the memory that a node's
 * ranks share (node.h), in rings (ring.h) or, of a few bytes, in rounds (dissemination.h), the rest
 * as Open MPI's own non-blocking collectives.
 */
#include "comm/mpi/comm_mpi.h"
#include "comm/reduce.h"
#include "comm/tree.h"

#include <limits.h>

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

/* ---- rings */

static int take_tag(mpi_comm *self) {
    int tag = self->next_tag;
    self->next_tag = (self->next_tag + 1) % MPI_TAGS;
    return tag;
}

static void begin_ring(mpi_comm *self, slot *mine, void *buffer, const node_plan *plan) {
    int64_t *first = mine->ring.first;
    size_t count = plan->count, size = (size_t)self->base.size;
    ring_stand(&mine->ring, self->base.rank, self->base.size, NULL);
    for (size_t rank = 0; rank < size; rank++)
        first[rank + 1] =
            plan->counts ? first[rank] + plan->counts[rank] : (int64_t)(count * (rank + 1) / size);
    ring_begin(&mine->ring, take_tag(self), buffer, plan->type, plan->how, plan->reduces,
               plan->receiver != NODE_NONE);
}

/* Values of training stay with the ring at any size: what is measured of small ones then tells of
 * large ones. Counts are of one length: 0 is what is no such call. */
static size_t few_bytes(const mpi_comm *self, const node_plan *plan) {
    size_t ranks = (size_t)self->base.size, bytes = plan->count * dtype_bytes(plan->type);
    if (plan->receiver != NODE_ALL || ranks < 3)
        return 0;
    if (!plan->reduces) {
        bytes = plan->type == DTYPE_U8 ? (size_t)plan->counts[0] : 0;
        for (size_t rank = 1; rank < ranks; rank++)
            bytes = plan->counts[rank] == plan->counts[0] ? bytes : 0;
    }
    bool fits = bytes <= DISSEMINATION_BYTES && bytes * ranks <= DISSEMINATION_ALL_BYTES;
    return fits ? bytes : 0;
}

static void begin_few(mpi_comm *self, slot *mine, void *buffer, const node_plan *plan) {
    int tag = take_tag(self);
    if (plan->reduces)
        dissemination_reduce(&mine->few, tag, buffer, plan->count, plan->type, plan->how,
                             mine->ring.scratch);
    else
        dissemination_gather(&mine->few, tag, buffer, (size_t)plan->counts[0]);
}

/* Through the memory that the node's ranks share, where the buffer lies there; else by messages, in
 * a ring where they are worth it. `receiver` is a rank. */
static int begin(mpi_comm *self, const char *what, void *buffer, const node_plan *plan,
                 comm_work *work, ls_error *error) {
    slot *mine = NULL;
    bool inside = self->node && node_takes(self->node, buffer, plan);
    bool few = !inside && few_bytes(self, plan) > 0;
    LS_TRY(mpi_take_slot(self, what,
                         inside ? SLOT_NODE
                         : few  ? SLOT_FEW
                                : SLOT_RING,
                         &mine, error));
    if (inside)
        node_begin(self->node, &mine->node, buffer, plan, &mine->ring, take_tag(self));
    else if (few)
        begin_few(self, mine, buffer, plan);
    else
        begin_ring(self, mine, buffer, plan);
    work->handle = mine;
    return mpi_progress(&self->base, error);
}

int mpi_allreduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                  reduction how, comm_work *work, ls_error *error) {
    node_plan plan = {
        .reduces = true, .receiver = NODE_ALL, .type = type, .how = how, .count = count};
    (void)stream;
    LS_TRY(refuse_type("allreduce", type, error));
    return begin((mpi_comm *)base, "allreduce", buffer, &plan, work, error);
}

int mpi_reduce_scatter(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                       dtype type, reduction how, comm_work *work, ls_error *error) {
    node_plan plan = {
        .reduces = true, .receiver = NODE_NONE, .type = type, .how = how, .counts = counts};
    (void)stream;
    LS_TRY(refuse_type("reduce_scatter", type, error));
    return begin((mpi_comm *)base, "reduce_scatter", buffer, &plan, work, error);
}

int mpi_allgather(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                  dtype type, comm_work *work, ls_error *error) {
    node_plan plan = {.receiver = NODE_ALL, .type = type, .counts = counts};
    (void)stream;
    return begin((mpi_comm *)base, "allgather", buffer, &plan, work, error);
}

/* A ring's sum goes to all ranks (their buffers are undefined by contract): the last block is at
 * the root no later than by a gather, and sooner than by MPI_Ireduce, which does not pipeline. */
int mpi_reduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
               reduction how, int root, comm_work *work, ls_error *error) {
    node_plan plan = {.reduces = true, .receiver = root, .type = type, .how = how, .count = count};
    (void)stream;
    LS_TRY(refuse_type("reduce", type, error));
    return begin((mpi_comm *)base, "reduce", buffer, &plan, work, error);
}

/* ---- the sum in a fixed tree */

static int refuse_tree(const mpi_comm *self, const node_plan *plan, ls_error *error) {
    if (!tree_supports(plan->type))
        return ls_fail(error, LS_FAILED, "sum_tree: the mpi comm adds up fp32 and fp64, found %s",
                       dtype_name(plan->type));
    if (plan->rows > TREE_MOST_LEAVES / self->base.size)
        return ls_fail(error, LS_FAILED, "sum_tree: %d ranks with %d rows each, at most %d in all",
                       self->base.size, plan->rows, TREE_MOST_LEAVES);
    return LS_OK;
}

/* Where the node does not take it, this rank's subtree first, then the ranks'. */
int mpi_sum_tree(comm *base, device_stream *stream, void *buffer, size_t count, int rows,
                 size_t stride, dtype type, comm_work *work, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    node_plan plan = {.reduces = true,
                      .receiver = NODE_ALL,
                      .type = type,
                      .count = count,
                      .rows = rows,
                      .stride = stride};
    slot *mine = NULL;
    (void)stream;
    LS_TRY(refuse_tree(self, &plan, error));
    bool inside = self->node && node_takes(self->node, buffer, &plan);
    LS_TRY(mpi_take_slot(self, "sum_tree", inside ? SLOT_NODE : SLOT_PAIRWISE, &mine, error));
    if (inside) {
        node_begin(self->node, &mine->node, buffer, &plan, &mine->ring, take_tag(self));
        mine->node.pairwise = &mine->pairwise;
    } else {
        tree_sum_rows(buffer, rows, stride, count, type);
        pairwise_begin(&mine->pairwise, base->rank, base->size, NULL, take_tag(self), buffer, count,
                       type);
    }
    work->handle = mine;
    return mpi_progress(base, error);
}

/* ---- reading where it lies */

int mpi_offer(comm *base, device_stream *stream, void *buffer, size_t bytes, comm_work *work,
              ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    node_plan plan = {.offers = true, .type = DTYPE_U8, .count = bytes};
    slot *mine = NULL;
    (void)stream;
    if (!self->node || !node_takes(self->node, buffer, &plan))
        return ls_fail(error, LS_FAILED, "offer: not memory that all ranks can read");
    LS_TRY(mpi_take_slot(self, "offer", SLOT_NODE, &mine, error));
    node_begin(self->node, &mine->node, buffer, &plan, &mine->ring, take_tag(self));
    work->handle = mine;
    return mpi_progress(base, error);
}

const void *mpi_peer(const comm *base, const void *memory, int rank) {
    const mpi_comm *self = (const mpi_comm *)base;
    return self->node ? node_peer(self->node, memory, rank) : NULL;
}

/* ---- Open MPI's own */

/* The request has begun (or not: status): hand it to the caller. */
static int hand_out(mpi_comm *self, slot *mine, int status, comm_work *work, ls_error *error) {
    LS_TRY(status);
    work->handle = mine;
    return mpi_progress(&self->base, error);
}

int mpi_broadcast(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                  int root, comm_work *work, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    slot *mine = NULL;
    (void)stream;
    LS_TRY(refuse_count("broadcast", (int64_t)count, error));
    LS_TRY(mpi_take_slot(self, "broadcast", SLOT_REQUEST, &mine, error));
    mpi_lock();
    int status = mpi_check(
        MPI_Ibcast(buffer, (int)count, mpi_type(type), root, self->collective_comm, &mine->request),
        mine->what, error);
    mpi_unlock();
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
    LS_TRY(mpi_take_slot(self, what, SLOT_REQUEST, out, error));
    int first = 0;
    for (int rank = 0; rank < self->base.size; rank++) {
        (*out)->counts[rank] = (int)counts[rank];
        (*out)->displacements[rank] = first;
        first += (int)counts[rank];
    }
    return LS_OK;
}

int mpi_scatter(comm *base, device_stream *stream, const void *whole, void *part,
                const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    slot *mine = NULL;
    (void)stream;
    LS_TRY(take_counted_slot(self, "scatter", counts, &mine, error));
    mpi_lock();
    int status = mpi_check(MPI_Iscatterv(whole, mine->counts, mine->displacements, mpi_type(type),
                                         part, mine->counts[base->rank], mpi_type(type), root,
                                         self->collective_comm, &mine->request),
                           mine->what, error);
    mpi_unlock();
    return hand_out(self, mine, status, work, error);
}

int mpi_gather(comm *base, device_stream *stream, const void *part, void *whole,
               const int64_t *counts, dtype type, int root, comm_work *work, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    slot *mine = NULL;
    (void)stream;
    LS_TRY(take_counted_slot(self, "gather", counts, &mine, error));
    mpi_lock();
    int status = mpi_check(MPI_Igatherv(part, mine->counts[base->rank], mpi_type(type), whole,
                                        mine->counts, mine->displacements, mpi_type(type), root,
                                        self->collective_comm, &mine->request),
                           mine->what, error);
    mpi_unlock();
    return hand_out(self, mine, status, work, error);
}

/* Not MPI_Barrier: a rank that blocks in it would not advance the rings that others wait for. */
int mpi_barrier(comm *base, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    comm_work work = {0};
    slot *mine = NULL;
    LS_TRY(mpi_take_slot(self, "barrier", SLOT_REQUEST, &mine, error));
    mpi_lock();
    int status = mpi_check(MPI_Ibarrier(self->collective_comm, &mine->request), mine->what, error);
    mpi_unlock();
    LS_TRY(hand_out(self, mine, status, &work, error));
    return mpi_wait(base, NULL, &work, error);
}
