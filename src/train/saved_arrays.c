/* Which rank writes what of the run's arrays. */
#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>

/* Every kind that outlives a step and that this run keeps. */
static void list_arrays(const store *store, saved_arrays *out) {
    for (int kind = 0; kind < STORE_KINDS; kind++) {
        size_t length = store_length(store, (store_kind)kind);
        if (!store_is_state((store_kind)kind) || length == 0)
            continue;
        checkpoint_array *made = &out->list[out->count];
        snprintf(made->name, sizeof made->name, "%s", store_name(store, (store_kind)kind));
        made->length = (int64_t)length;
        out->kinds[out->count++] = (store_kind)kind;
    }
}

/* What this rank holds as it is now: where another rank updates, a copy here may be older. Of
 * buffers, which ranks may have of their own, rank 0's are the run's. */
static int held_of(const trainer *self, store_kind kind, const store_span **out) {
    bool counts = kind == STORE_BUFFERS ? self->me->rank == 0 : mode_updates(self->learner.mode);
    int held = store_spans(self->learner.mode->store, kind, out);
    return counts ? held : 0;
}

/* The caller frees *out [*count]. */
static int list_held(const trainer *self, const saved_arrays *arrays, checkpoint_range **out,
                     int *count, ls_error *error) {
    const store_span *spans;
    int total = 0;
    for (int array = 0; array < arrays->count; array++)
        total += held_of(self, arrays->kinds[array], &spans);
    *count = 0;
    *out = calloc((size_t)total + 1, sizeof **out);
    if (!*out)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int array = 0; array < arrays->count; array++) {
        int held = held_of(self, arrays->kinds[array], &spans);
        for (int span = 0; span < held; span++)
            (*out)[(*count)++] =
                (checkpoint_range){array, (int64_t)spans[span].first, (int64_t)spans[span].count};
    }
    return LS_OK;
}

/* All ranks' lists, of `most` each, and how long each is. */
static int gather_held(const trainer *self, const checkpoint_range *mine, int64_t count,
                       checkpoint_range **all, int64_t *counts, int64_t *most, ls_error *error) {
    *most = count;
    LS_TRY(comm_allreduce_int64(self->control, most, 1, REDUCTION_MAX, error));
    LS_TRY(comm_allgather_bytes(self->control, &count, counts, sizeof count, error));
    size_t bytes = (size_t)*most * sizeof **all;
    checkpoint_range *padded = calloc(1, bytes + 1);
    *all = calloc((size_t)self->me->size, bytes + 1);
    int status = padded && *all ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK && count > 0)
        memcpy(padded, mine, (size_t)count * sizeof *mine);
    if (status == LS_OK && bytes > 0)
        status = comm_allgather_bytes(self->control, padded, *all, bytes, error);
    free(padded);
    return status;
}

/* Appends the ranges that `rank` writes. */
static int add_share(const trainer *self, const checkpoint_holding *held, int rank,
                     saved_arrays *out, ls_error *error) {
    checkpoint_range *share, *larger;
    int count;
    LS_TRY(checkpoint_share(held, self->me->size, rank, &share, &count, error));
    larger = realloc(out->ranges, (size_t)(out->range_count + count + 1) * sizeof *larger);
    if (larger) {
        out->ranges = larger;
        memcpy(larger + out->range_count, share, (size_t)count * sizeof *share);
        out->range_counts[rank] = count;
        out->range_count += count;
    }
    free(share);
    return larger ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
}

static int share_out(const trainer *self, const checkpoint_range *all, const int64_t *counts,
                     int64_t most, saved_arrays *out, ls_error *error) {
    int size = self->me->size, own = 0;
    checkpoint_holding *held = calloc((size_t)size, sizeof *held);
    out->range_counts = calloc((size_t)size, sizeof *out->range_counts);
    int status = held && out->range_counts ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    for (int rank = 0; status == LS_OK && rank < size; rank++)
        held[rank] = (checkpoint_holding){all + rank * most, (int)counts[rank]};
    for (int rank = 0; status == LS_OK && rank < size; rank++) {
        own = rank == self->me->rank ? out->range_count : own;
        status = add_share(self, held, rank, out, error);
    }
    free(held);
    LS_TRY(status);
    out->own = out->ranges + own;
    out->own_count = out->range_counts[self->me->rank];
    return checkpoint_check_cover(out->list, out->count, out->ranges, out->range_count, error);
}

int saved_arrays_open(trainer *self, saved_arrays *out, ls_error *error) {
    checkpoint_range *mine = NULL, *all = NULL;
    int64_t *counts = calloc((size_t)self->me->size, sizeof *counts), most = 0;
    int count = 0;
    *out = (saved_arrays){0};
    list_arrays(self->learner.mode->store, out);
    int status = counts ? list_held(self, out, &mine, &count, error)
                        : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = gather_held(self, mine, count, &all, counts, &most, error);
    if (status == LS_OK)
        status = share_out(self, all, counts, most, out, error);
    free(mine);
    free(all);
    free(counts);
    return status;
}

void saved_arrays_close(saved_arrays *self) {
    free(self->ranges);
    free(self->range_counts);
    *self = (saved_arrays){0};
}

int saved_arrays_tensors(const trainer *self, const saved_arrays *arrays, checkpoint_tensor **out,
                         int *count, ls_error *error) {
    *out = calloc((size_t)self->graph.record_count + 1, sizeof **out);
    *count = self->graph.record_count;
    if (!*out)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int index = 0; index < self->graph.record_count; index++) {
        const graph_parameter *from = &self->graph.parameters[index];
        checkpoint_tensor *made = &(*out)[index];
        store_kind kind = from->trained ? STORE_PARAMETERS : STORE_BUFFERS;
        int array = 0;
        while (arrays->kinds[array] != kind)
            array++;
        snprintf(made->name, sizeof made->name, "%s", from->name);
        made->dim_count = from->dim_count;
        memcpy(made->dims, from->dims, sizeof made->dims);
        made->range = (checkpoint_range){array, (int64_t)from->first, (int64_t)from->count};
    }
    return LS_OK;
}
