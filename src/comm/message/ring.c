#include "comm/message/ring.h"

#include "comm/message/ground.h"
#include "comm/reduce.h"

#include <stdlib.h>

int ring_allocate(ring *self, MPI_Comm comm, int rank, int size, ls_error *error) {
    *self = (ring){.comm = comm, .rank = rank, .size = size};
    self->first = calloc((size_t)size + 1, sizeof *self->first);
    self->scratch = aligned_alloc(64, (size_t)RING_WINDOW * RING_CHUNK_BYTES);
    if (!self->first || !self->scratch)
        return ls_fail(error, LS_FAILED, "no memory for a ring collective");
    return LS_OK;
}

void ring_release(ring *self) {
    free(self->first);
    free(self->scratch);
    self->first = NULL;
    self->scratch = NULL;
}

void ring_stand(ring *self, int place, int size, const int *ranks) {
    self->rank = place;
    self->size = size;
    self->ranks = ranks;
}

static int64_t chunk_elements(const ring *self) {
    return RING_CHUNK_BYTES / (int64_t)dtype_bytes(self->type);
}

void ring_begin(ring *self, int tag, void *buffer, dtype type, reduction how, bool reduce,
                bool gather) {
    int64_t largest = 0;
    self->tag = tag;
    self->buffer = buffer;
    self->type = type;
    self->how = how;
    for (int rank = 0; rank < self->size; rank++)
        if (self->first[rank + 1] - self->first[rank] > largest)
            largest = self->first[rank + 1] - self->first[rank];
    self->chunks = (largest + chunk_elements(self) - 1) / chunk_elements(self);
    self->reducing_steps = reduce ? self->size - 1 : 0;
    self->steps = self->reducing_steps + (gather ? self->size - 1 : 0);
    self->transfers = self->steps * self->chunks;
    self->send_posted = self->send_done = self->receive_posted = self->receive_done = 0;
}

/* The block that a rank sends in a step: what it received in the step before. While reducing,
 * rank r begins with the block of rank r-1, whose sum so arrives at its owner last; while
 * gathering it begins with its own. */
static int block_sent(const ring *self, int64_t step) {
    int64_t back = step < self->reducing_steps ? step + 1 : step - self->reducing_steps;
    return (int)((self->rank - back % self->size + self->size) % self->size);
}

typedef struct piece {
    char *address;
    size_t elements;
} piece;

static piece piece_of(const ring *self, int block, int64_t chunk) {
    int64_t first = self->first[block] + chunk * chunk_elements(self);
    int64_t left = self->first[block + 1] - first;
    if (left <= 0)
        return (piece){self->buffer, 0};
    if (left > chunk_elements(self))
        left = chunk_elements(self);
    return (piece){self->buffer + (size_t)first * dtype_bytes(self->type), (size_t)left};
}

static piece sent(const ring *self, int64_t transfer) {
    return piece_of(self, block_sent(self, transfer / self->chunks), transfer % self->chunks);
}

/* What this rank receives is what the rank before it sends. */
static piece received(const ring *self, int64_t transfer) {
    int block = block_sent(self, transfer / self->chunks);
    return piece_of(self, (block + self->size - 1) % self->size, transfer % self->chunks);
}

static bool reduces(const ring *self, int64_t transfer) {
    return transfer / self->chunks < self->reducing_steps;
}

static char *scratch_of(const ring *self, int64_t transfer) {
    return self->scratch + (size_t)(transfer % RING_WINDOW) * RING_CHUNK_BYTES;
}

/* A gathered block lands where this rank's partial sum of it still stands until it is sent. */
static bool may_receive(const ring *self) {
    int64_t next = self->receive_posted;
    if (next == self->transfers || next - self->receive_done == RING_WINDOW)
        return false;
    return reduces(self, next) || next - self->reducing_steps * self->chunks < self->send_done ||
           self->reducing_steps == 0;
}

static bool may_send(const ring *self) {
    int64_t next = self->send_posted;
    if (next == self->transfers || next - self->send_done == RING_WINDOW)
        return false;
    return next < self->chunks || next - self->chunks < self->receive_done;
}

static int rank_at(const ring *self, int place) {
    return self->ranks ? self->ranks[place] : place;
}

static int post_receive(ring *self, ls_error *error) {
    int64_t next = self->receive_posted++;
    piece where = received(self, next);
    int from = rank_at(self, (self->rank + self->size - 1) % self->size);
    return mpi_check(MPI_Irecv(reduces(self, next) ? scratch_of(self, next) : where.address,
                               (int)(where.elements * dtype_bytes(self->type)), MPI_BYTE, from,
                               self->tag, self->comm, &self->receives[next % RING_WINDOW]),
                     "MPI_Irecv", error);
}

static int post_send(ring *self, ls_error *error) {
    int64_t next = self->send_posted++;
    piece what = sent(self, next);
    int to = rank_at(self, (self->rank + 1) % self->size);
    return mpi_check(MPI_Isend(what.address, (int)(what.elements * dtype_bytes(self->type)),
                               MPI_BYTE, to, self->tag, self->comm,
                               &self->sends[next % RING_WINDOW]),
                     "MPI_Isend", error);
}

/* The oldest receive first: messages between two ranks with one tag do not overtake. */
static int finish_receive(ring *self, bool *moved, ls_error *error) {
    int64_t oldest = self->receive_done;
    int done = 0;
    if (oldest == self->receive_posted)
        return LS_OK;
    LS_TRY(mpi_check(MPI_Test(&self->receives[oldest % RING_WINDOW], &done, MPI_STATUS_IGNORE),
                     "receiving from a neighbour", error));
    if (!done)
        return LS_OK;
    if (reduces(self, oldest)) {
        piece where = received(self, oldest);
        reduce_into(where.address, scratch_of(self, oldest), where.elements, self->type, self->how);
    }
    self->receive_done++;
    *moved = true;
    return LS_OK;
}

static int finish_send(ring *self, bool *moved, ls_error *error) {
    int done = 0;
    if (self->send_done == self->send_posted)
        return LS_OK;
    LS_TRY(
        mpi_check(MPI_Test(&self->sends[self->send_done % RING_WINDOW], &done, MPI_STATUS_IGNORE),
                  "sending to a neighbour", error));
    self->send_done += done;
    *moved = *moved || done;
    return LS_OK;
}

int ring_advance(ring *self, bool *done, ls_error *error) {
    for (bool moved = true; moved;) {
        moved = false;
        while (may_receive(self)) {
            LS_TRY(post_receive(self, error));
            moved = true;
        }
        while (may_send(self)) {
            LS_TRY(post_send(self, error));
            moved = true;
        }
        LS_TRY(finish_receive(self, &moved, error));
        LS_TRY(finish_send(self, &moved, error));
    }
    *done = self->send_done == self->transfers && self->receive_done == self->transfers;
    return LS_OK;
}
