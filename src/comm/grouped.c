/* The comm of groups.h: two comms of its own, one of the ranks of this group and one of the ranks
 * that have this rank's place in each group, beside that of all ranks. */
#include "base/clock.h"
#include "base/ending.h"
#include "comm/failure.h"
#include "comm/groups.h"
#include "device/device.h"

#include <sched.h>
#include <stdlib.h>
#include <string.h>

enum { GROUPED_WORKS = 32 };

/* INSIDE: of a reduce_scatter its first half, while the second waits for it; else the call at hand
 * is `from`'s. */
typedef enum { WORK_FREE, WORK_INSIDE, WORK_LAST } work_state;

typedef struct grouped_work {
    work_state state;
    comm *from;
    comm_work inside, last;
    char *part;
    size_t count;
    dtype type;
    reduction how;
} grouped_work;

typedef struct grouped_comm {
    comm base;
    comm_interface interface;
    comm_settings settings;
    comm *over, *inside, *across; /* over: borrowed */
    comm *inside_control, *across_control;
    device_stream *stream; /* the second halves', where no comm says that it is done; NULL: progress
                            * begins them */
    grouped_work works[GROUPED_WORKS];
    int halves[GROUPED_WORKS], half_count; /* works that are INSIDE, oldest first */
} grouped_comm;

static grouped_comm *of(comm *base) {
    return (grouped_comm *)base;
}

static int take(grouped_comm *self, const char *what, grouped_work **out, ls_error *error) {
    for (int index = 0; index < GROUPED_WORKS; index++) {
        *out = &self->works[index];
        if ((*out)->state == WORK_FREE)
            return LS_OK;
    }
    return ls_fail(error, LS_FAILED, "%s: %d collectives are outstanding, more than comm holds",
                   what, GROUPED_WORKS);
}

/* The call of `mine->from` that `status` is of, which gave mine->last: the caller's. */
static int hand_out(grouped_work *mine, int status, comm_work *work, ls_error *error) {
    (void)error;
    LS_TRY(status);
    mine->state = WORK_LAST;
    work->over = mine->last.over;
    work->handle = mine;
    return LS_OK;
}

static int begin_last(grouped_comm *self, grouped_work *mine, device_stream *behind,
                      ls_error *error) {
    mine->state = WORK_LAST;
    mine->from = self->across;
    return self->across->is->allreduce(self->across, behind, mine->part, mine->count, mine->type,
                                       mine->how, &mine->last, error);
}

/* In the order in which they began, the same on all ranks, however the first halves ended. */
static int begin_due(grouped_comm *self, ls_error *error) {
    int begun = 0, status = LS_OK;
    while (begun < self->half_count && status == LS_OK) {
        grouped_work *oldest = &self->works[self->halves[begun]];
        if (!comm_is_done(self->inside, &oldest->inside))
            break;
        status = self->inside->is->wait(self->inside, NULL, &oldest->inside, error);
        if (status == LS_OK)
            status = begin_last(self, oldest, NULL, error);
        begun++;
    }
    self->half_count -= begun;
    for (int index = 0; index < self->half_count; index++)
        self->halves[index] = self->halves[index + begun];
    return status;
}

static int progress(comm *base, ls_error *error) {
    grouped_comm *self = of(base);
    comm *each[] = {self->inside, self->across, self->over};
    for (size_t index = 0; index < sizeof each / sizeof each[0]; index++)
        LS_TRY(each[index]->is->progress(each[index], error));
    return begin_due(self, error);
}

/* ---- what begins a collective */

static int reduce_scatter(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                          dtype type, reduction how, comm_work *work, ls_error *error) {
    grouped_comm *self = of(base);
    grouped_work *mine;
    size_t first = 0;
    LS_TRY(take(self, "reduce_scatter", &mine, error));
    for (int place = 0; place < base->rank; place++)
        first += (size_t)counts[place];
    *mine = (grouped_work){.part = (char *)buffer + first * dtype_bytes(type),
                           .count = (size_t)counts[base->rank],
                           .type = type,
                           .how = how,
                           .last = {.tells = work->tells}};
    LS_TRY(self->inside->is->reduce_scatter(self->inside, stream, buffer, counts, type, how,
                                            &mine->inside, error));
    work->handle = mine;
    if (self->stream) {
        LS_TRY(self->inside->is->wait(self->inside, self->stream, &mine->inside, error));
        LS_TRY(begin_last(self, mine, self->stream, error));
        work->over = mine->last.over;
        return LS_OK;
    }
    mine->state = WORK_INSIDE;
    self->halves[self->half_count++] = (int)(mine - self->works);
    return begin_due(self, error);
}

static int allgather(comm *base, device_stream *stream, void *buffer, const int64_t *counts,
                     dtype type, comm_work *work, ls_error *error) {
    grouped_comm *self = of(base);
    grouped_work *mine;
    LS_TRY(take(self, "allgather", &mine, error));
    *mine = (grouped_work){.from = self->inside, .last = {.tells = work->tells}};
    int status =
        self->inside->is->allgather(self->inside, stream, buffer, counts, type, &mine->last, error);
    return hand_out(mine, status, work, error);
}

static int allreduce(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                     reduction how, comm_work *work, ls_error *error) {
    grouped_comm *self = of(base);
    grouped_work *mine;
    LS_TRY(take(self, "allreduce", &mine, error));
    *mine = (grouped_work){.from = self->over, .last = {.tells = work->tells}};
    int status =
        self->over->is->allreduce(self->over, stream, buffer, count, type, how, &mine->last, error);
    return hand_out(mine, status, work, error);
}

static int broadcast(comm *base, device_stream *stream, void *buffer, size_t count, dtype type,
                     int root, comm_work *work, ls_error *error) {
    grouped_comm *self = of(base);
    grouped_work *mine;
    LS_TRY(take(self, "broadcast", &mine, error));
    *mine = (grouped_work){.from = self->over, .last = {.tells = work->tells}};
    int status = self->over->is->broadcast(self->over, stream, buffer, count, type, root,
                                           &mine->last, error);
    return hand_out(mine, status, work, error);
}

static int sum_tree(comm *base, device_stream *stream, void *buffer, size_t count, int rows,
                    size_t stride, dtype type, comm_work *work, ls_error *error) {
    grouped_comm *self = of(base);
    grouped_work *mine;
    LS_TRY(take(self, "sum_tree", &mine, error));
    *mine = (grouped_work){.from = self->over, .last = {.tells = work->tells}};
    int status = self->over->is->sum_tree(self->over, stream, buffer, count, rows, stride, type,
                                          &mine->last, error);
    return hand_out(mine, status, work, error);
}

static int barrier(comm *base, ls_error *error) {
    comm *over = of(base)->over;
    return over->is->barrier(over, error);
}

/* ---- its end */

static bool is_done(const comm *base, const comm_work *work) {
    const grouped_work *mine = work->handle;
    (void)base;
    return !mine || (mine->state == WORK_LAST && comm_is_done(mine->from, &mine->last));
}

/* All three move on, or a rank that waits for one would hold up another that waits for the next. */
static int wait_on_host(grouped_comm *self, comm_work *work, ls_error *error) {
    enum { TURNS_A_LOOK = 1024 }; /* at the clock */
    double limit = self->settings.deadline_seconds, since = 0;
    for (int turn = 1; !is_done(&self->base, work); turn = turn % TURNS_A_LOOK + 1) {
        LS_TRY(progress(&self->base, error));
        ending_hold();
        if (turn == TURNS_A_LOOK && since == 0)
            since = clock_seconds();
        else if (turn == TURNS_A_LOOK && limit > 0 && clock_seconds() - since > limit)
            return comm_overdue(&self->settings, self->base.is->name,
                                &(collective_name){.what = "collective of a group"}, error);
        sched_yield();
    }
    return LS_OK;
}

static int wait(comm *base, device_stream *stream, comm_work *work, ls_error *error) {
    grouped_comm *self = of(base);
    grouped_work *mine = work->handle;
    if (!mine)
        return LS_OK;
    if (!self->stream)
        LS_TRY(wait_on_host(self, work, error));
    LS_TRY(mine->from->is->wait(mine->from, stream, &mine->last, error));
    mine->state = WORK_FREE;
    work->handle = NULL;
    return LS_OK;
}

/* ---- memory, open and close */

static int allocate(comm *base, size_t bytes, const char *what, void **out, ls_error *error) {
    comm *inside = of(base)->inside;
    int status = inside->is->allocate(inside, bytes, what, out, error);
    memcpy(base->note, inside->note, sizeof base->note);
    return status;
}

static void release(comm *base, void *memory) {
    comm *inside = of(base)->inside;
    inside->is->release(inside, memory);
}

static void close_grouped(comm *base) {
    grouped_comm *self = of(base);
    device *device = self->settings.device;
    comm_close(self->across);
    comm_close(self->inside);
    comm_close(self->across_control);
    comm_close(self->inside_control);
    if (self->stream)
        device->is->stream_destroy(device, self->stream);
    free(self);
}

/* `rank` of `size`, those that give the same number; of the kind that `over` is. */
static int open_pair(const grouped_comm *self, int rank, int size, int number, comm **control,
                     comm **out, ls_error *error) {
    comm_settings host = {
        .rank = rank, .size = size, .host = self->settings.host, .group = number + 1};
    comm_settings settings = self->settings;
    settings.rank = rank;
    settings.size = size;
    settings.group = number + 1;
    LS_TRY(comm_open("auto", &host, control, error));
    settings.control = *control;
    return comm_open(size == 1 ? "alone" : self->over->is->name, &settings, out, error);
}

static int open_own(grouped_comm *self, const comm_groups *groups, ls_error *error) {
    device *device = self->settings.device;
    LS_TRY(open_pair(self, groups->place, groups->size, groups->mine, &self->inside_control,
                     &self->inside, error));
    LS_TRY(open_pair(self, groups->mine, groups->count, groups->place, &self->across_control,
                     &self->across, error));
    bool itself = device && (device->facts.asynchronous || !device->facts.host_addressable);
    return itself ? device->is->stream_create(device, &self->stream, error) : LS_OK;
}

int comm_grouped_open(const comm_settings *settings, const comm_groups *groups, comm *over,
                      comm **out, ls_error *error) {
    grouped_comm *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "no memory for the comm of a group");
    self->base = (comm){.is = &self->interface, .rank = groups->place, .size = groups->size};
    self->settings = *settings;
    self->over = over;
    int status = open_own(self, groups, error);
    if (status != LS_OK) {
        close_grouped(&self->base);
        return status;
    }
    self->interface = (comm_interface){
        .name = over->is->name,
        .capturable =
            over->is->capturable && self->inside->is->capturable && self->across->is->capturable,
        .allreduce = allreduce,
        .reduce_scatter = reduce_scatter,
        .allgather = allgather,
        .broadcast = broadcast,
        .sum_tree = sum_tree,
        .barrier = barrier,
        .allocate = allocate,
        .release = release,
        .progress = progress,
        .wait = wait,
        .is_done = is_done,
        .close = close_grouped,
    };
    *out = &self->base;
    return LS_OK;
}
