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
    return s->size == 2 && s->settled && s->updates_pairs && s->gradient_type == DTYPE_F32 &&
           s->comm->is->offer;
}

bool pair_may_serve(const mode_settings *s) {
    return s->comm && serves(s) && !s->between_nodes;
}

float *pair_theirs(const mode_settings *s, const float *mine) {
    return (float *)s->comm->is->peer(s->comm, mine, 1 - s->rank);
}

static float *whole(const mode *mode, store_kind kind) {
    return store_at(mode->store, kind, 0, store_length(mode->store, kind));
}

bool pair_serves(const mode *mode) {
    const mode_settings *s = &mode->settings;
    return serves(s) && pair_theirs(s, whole(mode, STORE_GRADIENTS)) &&
           pair_theirs(s, whole(mode, STORE_PARAMETERS));
}

static void turn(pair *self, int at) {
    self->at = at;
    store_exchange(self->mode->store, STORE_GRADIENTS, self->mine[at]);
}

/* Rank 0 has the first half, whole cache lines. */
static store_span half(const bucket *of, int rank) {
    enum { LINE = 16 };
    size_t first = of->count / 2 / LINE * LINE;
    return rank == 0 ? (store_span){of->first, first}
                     : (store_span){of->first + first, of->count - first};
}

static store_span part_of(const bucket *of, int rank) {
    return of->count < SHARED_FROM ? (store_span){of->first, of->count} : half(of, rank);
}

bucket_rule pair_rule(bucket_rule measured) {
    size_t least = SHARED_FROM;
    return (bucket_rule){.most = measured.most > least ? measured.most : least,
                         .worth = measured.worth > least ? measured.worth : least};
}

/* All buckets of a pair_rule but the last hold SHARED_FROM. */
size_t pair_most_updated(const mode_settings *s, const bucket_rule *given) {
    size_t all = s->graph->parameter_count, updated = (all + SHARED_FROM) / 2;
    int count = given ? buckets_cut(s->graph, NULL, *given, NULL) : 0;
    bucket *buckets = calloc((size_t)count + 1, sizeof *buckets);
    if (!given || !buckets) {
        free(buckets);
        return !given && updated < all ? updated : all;
    }
    buckets_cut(s->graph, NULL, *given, buckets);
    updated = 0;
    for (int index = 0; index < count; index++)
        updated += part_of(&buckets[index], 1).count; /* the larger half */
    free(buckets);
    return updated;
}

/* The last bucket has the first elements. */
static int share_out(const pair *self, const bucket *buckets, int count, ls_error *error) {
    store_span *parts = calloc((size_t)count + 1, sizeof *parts);
    if (!parts)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int index = 0; index < count; index++)
        parts[index] = part_of(&buckets[count - 1 - index], self->mode->settings.rank);
    int status = LS_OK; /* both average all */
    if (self->mode->settings.averages)
        status = store_hold_whole(self->mode->store, STORE_AVERAGE, error);
    if (status == LS_OK)
        status = store_update(self->mode->store, parts, count, error);
    free(parts);
    return status;
}

int pair_open(mode *mode, const bucket *buckets, int count, pair **out, ls_error *error) {
    const mode_settings *s = &mode->settings;
    *out = NULL;
    if (!pair_serves(mode))
        return LS_OK;
    pair *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    *out = self;
    self->mode = mode;
    self->mine[0] = whole(mode, STORE_GRADIENTS);
    LS_TRY(store_take(mode->store, MEMORY_COMMUNICATION, true,
                      store_bytes(mode->store, STORE_GRADIENTS), "gradients",
                      (void **)&self->mine[1], error));
    self->their_parameters = pair_theirs(s, whole(mode, STORE_PARAMETERS));
    for (int at = 0; at < 2; at++)
        self->theirs[at] = pair_theirs(s, self->mine[at]);
    if (self->theirs[1]) { /* the same on both ranks */
        turn(self, 0);
        return share_out(self, buckets, count, error);
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

static int update_bucket(pair *self, const bucket *each, ls_error *error) {
    mode *mode = self->mode;
    store_span mine = part_of(each, mode->settings.rank);
    store_slice slice = store_slice_of(mode->store, mine.first, mine.count);
    slice.added = self->theirs[self->at] + slice.origin;
    if (each->count >= SHARED_FROM)
        slice.copied = self->their_parameters + slice.origin;
    return mode_settle_slice(mode, &slice, error);
}

/* After both have updated. */
static int receive(pair *self, const bucket *each, ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    if (each->count < SHARED_FROM)
        return LS_OK;
    store_span theirs = half(each, 1 - s->rank);
    store_slice slice = store_slice_of(self->mode->store, theirs.first, theirs.count);
    return s->settled_elsewhere(s->settled_context, s->stream, &slice, error);
}

int pair_update(pair *self, outstanding *works, bucket *buckets, int count, ls_error *error) {
    mode *mode = self->mode;
    for (int index = 0; index < count; index++)
        LS_TRY(wait_for(self, works, &buckets[index].work, error));
    outstanding_clear(works);
    for (int index = 0; index < count; index++)
        LS_TRY(update_bucket(self, &buckets[index], error));
    LS_TRY(outstanding_offer(works, whole(mode, STORE_PARAMETERS), sizeof(float),
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
    store_exchange(self->mode->store, STORE_GRADIENTS, self->mine[0]);
    store_give_back(self->mode->store, self->mine[1]);
    free(self);
}
