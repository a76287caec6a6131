#include "mode/pair.h"

#include "mode/parts.h"

#include <stdlib.h>

enum { SHARED_FROM = 1 << 18 }; /* elements: a bucket whose halves are worth a rank each */

struct pair {
    mode *mode;
    float *mine[2];
    const float *theirs[2];
    float *their_parameters;
    comm_work updated; /* an offer of the new parameters */
    int at;
};

static bool serves(const mode_settings *s) {
    return s->size == 2 && s->settled && s->gradient_type == DTYPE_F32 &&
           s->device->facts.host_addressable && s->comm->is->offer;
}

static void *other(const mode_settings *s, const float *mine) {
    return (void *)s->comm->is->peer(s->comm, mine, 1 - s->rank);
}

static void turn(pair *self, int at) {
    self->at = at;
    self->mode->gradients = self->mine[at];
    self->mode->added_gradients = self->theirs[at];
}

int pair_open(mode *mode, pair **out, ls_error *error) {
    const mode_settings *s = &mode->settings;
    *out = NULL;
    if (!serves(s) || !other(s, mode->gradients) || !other(s, mode->parameters))
        return LS_OK;
    pair *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *out = self;
    self->mode = mode;
    self->mine[0] = mode->gradients;
    LS_TRY(s->comm->is->allocate(s->comm, mode_gradient_bytes(mode), "gradients",
                                 (void **)&self->mine[1], error));
    self->their_parameters = other(s, mode->parameters);
    for (int at = 0; at < 2; at++)
        self->theirs[at] = other(s, self->mine[at]);
    if (self->theirs[1]) { /* the same on both ranks */
        turn(self, 0);
        return LS_OK;
    }
    pair_close(self);
    *out = NULL;
    return LS_OK;
}

static int wait_for(pair *self, outstanding *works, comm_work *work, ls_error *error) {
    mode *mode = self->mode;
    LS_TRY(step_clock_waiting(mode->clock, error));
    LS_TRY(outstanding_wait(works, work, mode->settings.stream, error));
    return step_clock_resumed(mode->clock, error);
}

/* Rank 0 has the first half, whole cache lines. */
static bucket half(const bucket *of, int rank) {
    enum { LINE = 16 };
    size_t first = of->count / 2 / LINE * LINE;
    return rank == 0 ? (bucket){.first = of->first, .count = first}
                     : (bucket){.first = of->first + first, .count = of->count - first};
}

static int update_bucket(pair *self, const bucket *each, ls_error *error) {
    mode *mode = self->mode;
    if (each->count < SHARED_FROM)
        return mode_settle(mode, each->first, each->count, error);
    bucket mine = half(each, mode->settings.rank);
    mode->copied_parameters = self->their_parameters;
    int status = mode_settle(mode, mine.first, mine.count, error);
    mode->copied_parameters = NULL;
    return status;
}

/* After both have updated. */
static int receive(pair *self, const bucket *each, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    if (each->count < SHARED_FROM)
        return LS_OK;
    bucket theirs = half(each, 1 - s->rank);
    return s->settled_elsewhere(s->settled_context, s->stream, theirs.first, theirs.count, error);
}

int pair_update(pair *self, outstanding *works, bucket *buckets, int count, ls_error *error) {
    mode *mode = self->mode;
    for (int index = 0; index < count; index++)
        LS_TRY(wait_for(self, works, &buckets[index].work, error));
    outstanding_clear(works);
    for (int index = 0; index < count; index++)
        LS_TRY(update_bucket(self, &buckets[index], error));
    LS_TRY(outstanding_offer(works, mode->parameters, sizeof *mode->parameters,
                             mode->settings.stream, &self->updated, error));
    LS_TRY(wait_for(self, works, &self->updated, error));
    outstanding_clear(works);
    for (int index = 0; index < count; index++)
        LS_TRY(receive(self, &buckets[index], error));
    turn(self, 1 - self->at);
    return LS_OK;
}

void pair_close(pair *self) {
    if (!self)
        return;
    const mode_settings *s = &self->mode->settings;
    self->mode->gradients = self->mine[0];
    self->mode->added_gradients = NULL;
    if (self->mine[1])
        s->comm->is->release(s->comm, self->mine[1]);
    free(self);
}
