#include "comm/wrapper.h"

#include <stdlib.h>
#include <string.h>

static int allocate(comm *base, size_t bytes, const char *what, void **out, ls_error *error) {
    comm *inner = comm_inner(base);
    int status = inner->is->allocate(inner, bytes, what, out, error);
    memcpy(base->note, inner->note, sizeof base->note);
    return status;
}

static void release(comm *base, void *memory) {
    comm *inner = comm_inner(base);
    inner->is->release(inner, memory);
}

static const void *peer(const comm *base, const void *memory, int rank) {
    const comm *inner = ((const comm_wrapper *)base)->inner;
    return inner->is->peer(inner, memory, rank);
}

static void close_both(comm *base) {
    comm_close(comm_inner(base));
    free(base);
}

void comm_wrap(comm_wrapper *self, comm *inner, const comm_interface *calls) {
    self->interface = *calls;
    self->interface.name = inner->is->name;
    self->interface.capturable = inner->is->capturable;
    self->interface.allocate = allocate;
    self->interface.release = release;
    self->interface.peer = inner->is->peer ? peer : NULL;
    if (!inner->is->offer)
        self->interface.offer = NULL;
    self->interface.close = close_both;
    self->base = *inner;
    self->base.is = &self->interface;
    self->inner = inner;
}
