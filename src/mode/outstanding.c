#include "mode/outstanding.h"

int outstanding_make_room(outstanding *self, ls_error *error) {
    if (self->count < OUTSTANDING_MOST)
        return LS_OK;
    comm_work *oldest = self->works[self->first];
    self->first = (self->first + 1) % OUTSTANDING_MOST;
    self->count--;
    return self->comm->is->wait(self->comm, self->stream, oldest, error);
}

void outstanding_add(outstanding *self, comm_work *work) {
    self->works[(self->first + self->count++) % OUTSTANDING_MOST] = work;
}

void outstanding_clear(outstanding *self) {
    self->first = self->count = 0;
}
