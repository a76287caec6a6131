#include "comm/message/dissemination.h"

#include "comm/message/ground.h"
#include "comm/reduce.h"

#include <string.h>

static void begin(dissemination *self, int tag, void *blocks, size_t bytes) {
    self->tag = tag;
    self->blocks = blocks;
    self->bytes = bytes;
    self->distance = 1;
    self->requests_count = 0;
    self->result = NULL;
}

void dissemination_gather(dissemination *self, int tag, void *blocks, size_t bytes) {
    begin(self, tag, blocks, bytes);
}

void dissemination_reduce(dissemination *self, int tag, void *values, size_t count, dtype type,
                          reduction how, void *scratch) {
    begin(self, tag, scratch, count * dtype_bytes(type));
    self->result = values;
    self->count = count;
    self->type = type;
    self->how = how;
    memcpy(self->blocks + (size_t)self->rank * self->bytes, values, self->bytes);
}

static MPI_Request *next_request(dissemination *self) {
    return &self->requests[self->requests_count++];
}

static int send(dissemination *self, int first, int count, int to, ls_error *error) {
    return mpi_check(MPI_Isend(self->blocks + (size_t)first * self->bytes,
                               (int)((size_t)count * self->bytes), MPI_BYTE, to, self->tag,
                               self->comm, next_request(self)),
                     "MPI_Isend", error);
}

static int receive(dissemination *self, int first, int count, int from, ls_error *error) {
    return mpi_check(MPI_Irecv(self->blocks + (size_t)first * self->bytes,
                               (int)((size_t)count * self->bytes), MPI_BYTE, from, self->tag,
                               self->comm, next_request(self)),
                     "MPI_Irecv", error);
}

/* `count` blocks beginning with rank `first`'s lie in two pieces where they go around the end. */
static int move(dissemination *self, int first, int count, int peer,
                int (*one)(dissemination *, int, int, int, ls_error *), ls_error *error) {
    int before_end = self->size - first < count ? self->size - first : count;
    LS_TRY(one(self, first, before_end, peer, error));
    return before_end < count ? one(self, 0, count - before_end, peer, error) : LS_OK;
}

static int begin_round(dissemination *self, ls_error *error) {
    int distance = self->distance, missing = self->size - distance;
    int count = missing < distance ? missing : distance;
    int after = (self->rank + distance) % self->size;
    int before = (self->rank + missing) % self->size;
    LS_TRY(move(self, after, count, after, receive, error));
    return move(self, self->rank, count, before, send, error);
}

/* As ring.h sums: a block of the values begins with the rank behind its owner, and each rank on the
 * way adds what it was given to its own. */
static void reduce_block(const dissemination *self, int owner, size_t first, size_t count) {
    size_t offset = first * dtype_bytes(self->type);
    char *sum = NULL;
    for (int step = 1; step <= self->size; step++) {
        char *own = self->blocks + (size_t)((owner + step) % self->size) * self->bytes + offset;
        if (sum)
            reduce_into(own, sum, count, self->type, self->how);
        sum = own;
    }
    memcpy((char *)self->result + offset, sum, count * dtype_bytes(self->type));
}

static void reduce(const dissemination *self) {
    size_t size = (size_t)self->size;
    for (size_t owner = 0; owner < size; owner++) {
        size_t first = self->count * owner / size, end = self->count * (owner + 1) / size;
        if (end > first)
            reduce_block(self, (int)owner, first, end - first);
    }
}

int dissemination_advance(dissemination *self, bool *done, ls_error *error) {
    for (*done = false; self->distance < self->size && self->bytes > 0; self->distance *= 2) {
        int arrived = 0;
        if (self->requests_count == 0)
            LS_TRY(begin_round(self, error));
        LS_TRY(mpi_check(
            MPI_Testall(self->requests_count, self->requests, &arrived, MPI_STATUSES_IGNORE),
            "few bytes of all ranks", error));
        if (!arrived)
            return LS_OK;
        self->requests_count = 0;
    }
    if (self->result && self->bytes > 0)
        reduce(self);
    *done = true;
    return LS_OK;
}
