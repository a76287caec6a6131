#include "mode/placement.h"

#include "mode/fsdp.h"

#include <stdlib.h>

/* Elements of a piece: enough for a disk, few enough for several in a small bound. */
enum { PIECE_LEAST = 1 << 14, PIECE_MOST = 1 << 20 };

static size_t sum_of(const size_t bytes[MEMORY_KINDS]) {
    size_t sum = 0;
    for (memory_kind use = 0; use < MEMORY_KINDS; use++)
        sum += bytes[use];
    return sum;
}

bool placement_fits(const mode_settings *s) {
    size_t bytes[MEMORY_KINDS] = {0};
    if (s->device_memory == 0)
        return true;
    fsdp_plan_memory(s, bytes);
    mode_plan_rest(s, s->lanes != 0, mode_group(s).size == 1, bytes);
    return sum_of(bytes) <= s->device_memory;
}

bool placement_gathers(const mode_settings *s) {
    return mode_group(s).size > 1 || !placement_fits(s);
}

/* What is there whatever is out. */
static size_t bytes_beside(const mode_settings *s, const unit_groups *groups) {
    size_t bytes[MEMORY_KINDS] = {0};
    bytes[MEMORY_PARAMETERS] = store_whole_bytes(s->graph->buffer_count, mode_plan_rows(s));
    gathered_plan_memory(s, groups, true, bytes);
    scattered_plan_memory(s, groups, bytes);
    bytes[MEMORY_COMMUNICATION] += batch_sums_bytes(s);
    mode_plan_rest(s, s->lanes != 0, false, bytes);
    return sum_of(bytes);
}

/* ---- pieces */

static size_t largest_part(const mode_settings *s, const unit_groups *groups,
                           const shards *shards) {
    size_t most = 0;
    for (int group = 0; group < groups->count; group++) {
        size_t count = shards_part(shards, group, mode_group(s).place).count;
        most = count > most ? count : most;
    }
    return most;
}

static size_t piece_elements(size_t largest) {
    size_t quarter = largest / 4;
    return quarter < PIECE_LEAST ? PIECE_LEAST : quarter > PIECE_MOST ? PIECE_MOST : quarter;
}

/* Whole grains of units, as parts are: what is summed grain by grain has the same bits. Returns how
 * many; into `out` where that is there. */
static int cut(const mode_settings *s, const unit_groups *groups, const shards *shards,
               store_span *out) {
    size_t most = piece_elements(largest_part(s, groups, shards));
    int count = 0;
    for (int group = 0; group < groups->count; group++) {
        store_span part = shards_part(shards, group, mode_group(s).place);
        size_t end = part.first + part.count;
        for (size_t at = part.first, next; at < end; at = next, count++) {
            next = end - at > most ? shards_border(s->graph, at + most) : end;
            next = next < end ? next : end;
            if (out)
                out[count] = (store_span){at, next - at};
        }
    }
    return count;
}

static bool is_held(const mode_settings *s, int kind) {
    int moments = 0;
    while (s->moments && s->moments[moments])
        moments++;
    return kind == STORE_PARAMETERS  ? true
           : kind == STORE_GRADIENTS ? fsdp_holds_gradients(s)
           : kind == STORE_BUFFERS   ? false
           : kind == STORE_AVERAGE   ? s->averages
                                     : kind - STORE_MOMENTS < moments;
}

/* ---- which are out */

static size_t piece_bytes(store_span piece) {
    size_t before = piece.first % STORE_GRAIN, elements = before + piece.count;
    return (elements + STORE_GRAIN - 1) / STORE_GRAIN * STORE_GRAIN * sizeof(float);
}

static int kinds_held(const placement *self) {
    int count = 0;
    for (int kind = 0; kind < STORE_KINDS; kind++)
        count += self->out[kind] != NULL;
    return count;
}

/* Frames: two pieces of each kind at least, and up to a quarter of what is left for all of a
 * group's. */
static int count_frames(const placement *self, size_t largest, size_t left) {
    size_t kinds = (size_t)kinds_held(self), frame = store_frame_bytes(self->largest);
    size_t least = 2 * kinds, most = (largest / self->largest + 2) * kinds;
    size_t fit = left / 4 / frame;
    return (int)(fit < least ? least : fit < most ? fit : most);
}

static void place(placement *self, size_t left) {
    static const int order[] = {STORE_PARAMETERS, STORE_GRADIENTS, STORE_MOMENTS, STORE_MOMENTS + 1,
                                STORE_AVERAGE};
    for (size_t index = 0; index < sizeof order / sizeof order[0]; index++) {
        bool *out = self->out[order[index]];
        for (int piece = 0; out && piece < self->count; piece++) {
            size_t bytes = piece_bytes(self->pieces[piece]);
            out[piece] = bytes > left;
            left -= out[piece] ? 0 : bytes;
        }
    }
}

/* As a store lays them out: the last one of a kind ends with its last element. */
static void add_up(placement *self) {
    for (int kind = 0; kind < STORE_KINDS; kind++)
        for (int piece = 0; self->out[kind] && piece < self->count; piece++) {
            store_span span = self->pieces[piece];
            size_t grain = STORE_GRAIN * sizeof(float), *here = &self->here[kind];
            if (self->out[kind][piece])
                self->away += piece_bytes(span);
            else
                *here = (*here + grain - 1) / grain * grain +
                        (span.first % STORE_GRAIN + span.count) * sizeof(float);
        }
}

static size_t all_bytes(const placement *self) {
    size_t bytes = 0;
    for (int piece = 0; piece < self->count; piece++)
        bytes += piece_bytes(self->pieces[piece]);
    return bytes * (size_t)kinds_held(self);
}

static int allocate(const mode_settings *s, placement *self, ls_error *error) {
    size_t count = (size_t)self->count + 1;
    bool there = (self->pieces = calloc(count, sizeof *self->pieces)) != NULL;
    for (int kind = 0; kind < STORE_KINDS && there; kind++)
        if (is_held(s, kind))
            there = (self->out[kind] = calloc(count, sizeof(bool))) != NULL;
    return there ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
}

int placement_create(const mode_settings *s, const unit_groups *groups, const shards *shards,
                     placement *out, ls_error *error) {
    size_t beside = bytes_beside(s, groups), bound = s->device_memory;
    *out = (placement){.count = cut(s, groups, shards, NULL)};
    int status = allocate(s, out, error);
    if (status != LS_OK) {
        placement_destroy(out);
        return status;
    }
    cut(s, groups, shards, out->pieces);
    for (int piece = 0; piece < out->count; piece++)
        if (out->pieces[piece].count > out->largest)
            out->largest = out->pieces[piece].count;
    if (bound > 0 && beside + all_bytes(out) > bound) {
        size_t left = bound > beside ? bound - beside : 0;
        out->frames = count_frames(out, largest_part(s, groups, shards), left);
        size_t frames = (size_t)out->frames * store_frame_bytes(out->largest);
        place(out, left > frames ? left - frames : 0);
    }
    add_up(out);
    return LS_OK;
}

void placement_destroy(placement *self) {
    free(self->pieces);
    for (int kind = 0; kind < STORE_KINDS; kind++)
        free(self->out[kind]);
    *self = (placement){0};
}
