#include "comm/message/pairwise.h"

#include "comm/message/ground.h"
#include "comm/tree.h"

#include <stdlib.h>
#include <string.h>

int pairwise_allocate(pairwise *self, MPI_Comm comm, int size, char *scratch, size_t scratch_bytes,
                      ls_error *error) {
    *self = (pairwise){.comm = comm, .scratch = scratch, .scratch_bytes = scratch_bytes};
    self->requests = calloc((size_t)PAIRWISE_WINDOW * 2 * (size_t)size, sizeof *self->requests);
    if (!self->requests)
        return ls_fail(error, LS_FAILED, "no memory for a sum over ranks");
    return LS_OK;
}

void pairwise_release(pairwise *self) {
    free(self->requests);
    self->requests = NULL;
}

static size_t border(const pairwise *self, int block) {
    return self->count * (size_t)block / (size_t)self->size;
}

void pairwise_begin(pairwise *self, int place, int size, const int *ranks, int tag, void *buffer,
                    size_t count, dtype type) {
    size_t longest = 0;
    self->place = place;
    self->size = size;
    self->ranks = ranks;
    self->tag = tag;
    self->buffer = buffer;
    self->count = count;
    self->type = type;
    self->chunk =
        self->scratch_bytes / ((size_t)PAIRWISE_WINDOW * (size_t)size) / dtype_bytes(type);
    for (int block = 0; block < size; block++)
        if (border(self, block + 1) - border(self, block) > longest)
            longest = border(self, block + 1) - border(self, block);
    self->chunks = size == 1 ? 0 : (int64_t)((longest + self->chunk - 1) / self->chunk);
    self->given = self->summed = self->done = 0;
}

/* Chunk `chunk` of a block: empty where the block is shorter than the longest. */
typedef struct part {
    char *address;
    size_t length;
} part;

static part part_of(const pairwise *self, int block, int64_t chunk) {
    size_t first = border(self, block) + (size_t)chunk * self->chunk, end = border(self, block + 1);
    if (first >= end)
        return (part){self->buffer, 0};
    size_t left = end - first;
    return (part){self->buffer + first * dtype_bytes(self->type),
                  left < self->chunk ? left : self->chunk};
}

static char *scratch_of(const pairwise *self, int64_t chunk, int from) {
    size_t slot = (size_t)(chunk % PAIRWISE_WINDOW) * (size_t)self->size + (size_t)from;
    return self->scratch + slot * self->chunk * dtype_bytes(self->type);
}

static MPI_Request *requests_of(const pairwise *self, int64_t chunk) {
    return self->requests + (size_t)(chunk % PAIRWISE_WINDOW) * 2 * (size_t)self->size;
}

static int rank_at(const pairwise *self, int place) {
    return self->ranks ? self->ranks[place] : place;
}

static int bytes_of(const pairwise *self, size_t length) {
    return (int)(length * dtype_bytes(self->type));
}

/* One message each way with the rank at `other`. */
static int exchange(pairwise *self, int64_t chunk, int other, int tag, part sent, char *into,
                    size_t length, ls_error *error) {
    MPI_Request *requests = requests_of(self, chunk) + 2 * other;
    LS_TRY(mpi_check(MPI_Irecv(into, bytes_of(self, length), MPI_BYTE, rank_at(self, other), tag,
                               self->comm, &requests[0]),
                     "MPI_Irecv", error));
    return mpi_check(MPI_Isend(sent.address, bytes_of(self, sent.length), MPI_BYTE,
                               rank_at(self, other), tag, self->comm, &requests[1]),
                     "MPI_Isend", error);
}

static int begin_requests(pairwise *self, int64_t chunk) {
    for (int index = 0; index < 2 * self->size; index++)
        requests_of(self, chunk)[index] = MPI_REQUEST_NULL;
    return LS_OK;
}

/* Each other rank gets its block's chunk, and what they have of the own one comes aside. */
static int give(pairwise *self, int64_t chunk, ls_error *error) {
    part own = part_of(self, self->place, chunk);
    LS_TRY(begin_requests(self, chunk));
    for (int other = 0; other < self->size; other++)
        if (other != self->place)
            LS_TRY(exchange(self, chunk, other, self->tag, part_of(self, other, chunk),
                            scratch_of(self, chunk, other), own.length, error));
    return LS_OK;
}

static void add_up(const pairwise *self, int64_t chunk) {
    _Alignas(64) char sum[TREE_PIECE_BYTES];
    const void *leaves[self->size];
    size_t element = dtype_bytes(self->type), step = TREE_PIECE_BYTES / element;
    part own = part_of(self, self->place, chunk);
    for (size_t at = 0; at < own.length; at += step) {
        size_t length = own.length - at < step ? own.length - at : step;
        for (int from = 0; from < self->size; from++)
            leaves[from] =
                (from == self->place ? own.address : scratch_of(self, chunk, from)) + at * element;
        tree_sum_piece(sum, leaves, self->size, length, self->type);
        memcpy(own.address + at * element, sum, length * element);
    }
}

/* The own sum to all; theirs land where the chunk was that they have been given. */
static int share(pairwise *self, int64_t chunk, ls_error *error) {
    part own = part_of(self, self->place, chunk);
    LS_TRY(begin_requests(self, chunk));
    for (int other = 0; other < self->size; other++) {
        part theirs = part_of(self, other, chunk);
        if (other != self->place)
            LS_TRY(exchange(self, chunk, other, self->tag + MPI_TAGS, own, theirs.address,
                            theirs.length, error));
    }
    return LS_OK;
}

static int all_arrived(pairwise *self, int64_t chunk, bool *out, ls_error *error) {
    int flag = 0;
    LS_TRY(
        mpi_check(MPI_Testall(2 * self->size, requests_of(self, chunk), &flag, MPI_STATUSES_IGNORE),
                  "exchanging parts of a sum", error));
    *out = flag;
    return LS_OK;
}

/* Chunk after chunk on every rank, in both stages: messages of one tag do not overtake. */
int pairwise_advance(pairwise *self, bool *done, ls_error *error) {
    for (bool moved = true; moved;) {
        bool arrived = false;
        moved = false;
        if (self->given < self->chunks && self->given - self->done < PAIRWISE_WINDOW) {
            LS_TRY(give(self, self->given++, error));
            moved = true;
        }
        if (self->summed < self->given)
            LS_TRY(all_arrived(self, self->summed, &arrived, error));
        if (arrived) {
            add_up(self, self->summed);
            LS_TRY(share(self, self->summed++, error));
            moved = true;
        }
        arrived = false;
        if (self->done < self->summed)
            LS_TRY(all_arrived(self, self->done, &arrived, error));
        self->done += arrived;
        moved = moved || arrived;
    }
    *done = self->done == self->chunks;
    return LS_OK;
}
