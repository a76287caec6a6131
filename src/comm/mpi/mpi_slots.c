/* The collectives that have begun and were not waited for: progress and wait advance all of them,
 * in the order in which they began. */
#include "base/clock.h"
#include "base/ending.h"
#include "comm/failure.h"
#include "comm/mpi/comm_mpi.h"

#include <sched.h>

int mpi_take_slot(mpi_comm *self, const char *what, slot_state state, slot **out, ls_error *error) {
    for (int index = 0; index < MPI_SLOTS; index++)
        if (self->slots[index].state == SLOT_FREE) {
            *out = &self->slots[index];
            (*out)->state = state;
            (*out)->what = what;
            self->order[self->outstanding++] = index;
            return LS_OK;
        }
    return ls_fail(error, LS_FAILED, "%s: %d collectives are outstanding, more than comm holds",
                   what, MPI_SLOTS);
}

static int advance(mpi_comm *self, slot *each, ls_error *error) {
    bool done = false;
    int flag = 0;
    if (each->state == SLOT_RING) {
        LS_TRY(ring_advance(&each->ring, &done, error));
    } else if (each->state == SLOT_FEW) {
        LS_TRY(dissemination_advance(&each->few, &done, error));
    } else if (each->state == SLOT_PAIRWISE) {
        LS_TRY(pairwise_advance(&each->pairwise, &done, error));
    } else if (each->state == SLOT_NODE) {
        LS_TRY(node_advance(self->node, &each->node, &done, error));
    } else {
        LS_TRY(mpi_check(MPI_Test(&each->request, &flag, MPI_STATUS_IGNORE), each->what, error));
        done = flag;
    }
    if (done)
        each->state = SLOT_DONE;
    return LS_OK;
}

static int advance_all(mpi_comm *self, ls_error *error) {
    int kept = 0, status = LS_OK;
    for (int index = 0; index < self->outstanding; index++) {
        slot *each = &self->slots[self->order[index]];
        if (status == LS_OK)
            status = advance(self, each, error);
        if (each->state != SLOT_DONE)
            self->order[kept++] = self->order[index];
    }
    self->outstanding = kept;
    return status;
}

int mpi_progress(comm *base, ls_error *error) {
    mpi_comm *self = (mpi_comm *)base;
    if (self->outstanding == 0)
        return LS_OK;
    mpi_lock();
    int status = advance_all(self, error);
    mpi_unlock();
    return status;
}

bool mpi_is_done(const comm *self, const comm_work *work) {
    (void)self;
    const slot *mine = work->handle;
    return !mine || mine->state == SLOT_DONE;
}

static int overdue(const mpi_comm *self, const slot *mine, double since, ls_error *error) {
    double deadline = self->settings.deadline_seconds;
    if (deadline == 0 || clock_seconds() - since < deadline)
        return LS_OK;
    return comm_overdue(&self->settings, "mpi", &(collective_name){.what = mine->what}, error);
}

int mpi_wait(comm *base, device_stream *stream, comm_work *work, ls_error *error) {
    enum { TURNS_A_LOOK = 1024 }; /* at the clock */
    mpi_comm *self = (mpi_comm *)base;
    slot *mine = work->handle;
    double since = 0;
    (void)stream;
    if (!mine)
        return LS_OK;
    for (int turn = 1; mine->state != SLOT_DONE; turn = turn % TURNS_A_LOOK + 1) {
        LS_TRY(mpi_progress(base, error));
        ending_hold();
        if (turn == TURNS_A_LOOK && since == 0)
            since = clock_seconds();
        else if (turn == TURNS_A_LOOK)
            LS_TRY(overdue(self, mine, since, error));
        sched_yield(); /* where two ranks share a core, the peer may be the one that must run */
    }
    ending_hold();
    mine->state = SLOT_FREE;
    work->handle = NULL;
    return LS_OK;
}
