#include "train/optimizer_slices.h"

/* Of this step nothing is left to update, and nothing reads the state behind the update. */
static bool may_advance(const optimizer *self, const store_slice *slice) {
    return self->device->facts.updates_advance && !slice->average && self->settled == self->held;
}

static int run(optimizer *self, device_stream *stream, const store_slice *slice,
               const parameter_range *ranges, int count, ls_error *error) {
    self->advanced = may_advance(self, slice);
    rule_update update = {.device = self->device,
                          .stream = stream,
                          .arguments = {.parameters = slice->parameters,
                                        .gradients = slice->gradients,
                                        .moments = {slice->moments[0], slice->moments[1]},
                                        .rates = self->rates,
                                        .rate_count = self->rate_count,
                                        .clips = optimizer_clips_norm(self),
                                        .clip_value = (float)self->settings->clip_value,
                                        .state = self->state,
                                        .advanced = self->advanced ? self->state : NULL,
                                        .images = self->images,
                                        .scaling = self->scaling,
                                        .shown = self->advanced ? self->shown : NULL,
                                        .begins = slice->begins},
                          .pair = {slice->added, slice->copied},
                          .ranges = ranges,
                          .range_count = count};
    return self->rule->update(self->own, &update, error);
}

/* Elements of a range that lie in the slice. */
static store_span overlap(const parameter_range *range, const store_slice *slice) {
    size_t first = slice->span.first, end = first + slice->span.count;
    size_t range_end = range->first + range->count;
    first = first > range->first ? first : range->first;
    end = end < range_end ? end : range_end;
    return (store_span){first, end > first ? end - first : 0};
}

static size_t packed_element(const parameter_range *range) {
    return plan_packed_element(range->packing, range->packing_index);
}

/* The part of a range that lies in the slice, into *piece, counted as the slice's arrays are: false
 * where there is none. A packed copy that is made of all of the range is left out of a part. */
static bool take_piece(optimizer *self, int range, const store_slice *slice,
                       parameter_range *piece) {
    const parameter_range *whole = &self->ranges[range];
    store_span part = overlap(whole, slice);
    if (part.count == 0)
        return false;
    self->range_settled[range] += part.count;
    *piece = *whole;
    piece->first = part.first - slice->origin;
    piece->count = part.count;
    piece->left_first = part.first - whole->first;
    size_t element = whole->packing ? packed_element(whole) : 0;
    if (element > 0)
        piece->packed = (char *)whole->packed + (part.first - whole->first) * element;
    else if (part.count < whole->count)
        piece->packing = NULL;
    return true;
}

/* Of a range that was settled in parts, the last of them here, the packed copy that is made of all
 * of it; its parameters lie whole. */
static int pack_split(optimizer *self, device_stream *stream, int range, const store_slice *slice,
                      ls_error *error) {
    const parameter_range *whole = &self->ranges[range];
    store_span part = overlap(whole, slice);
    if (!whole->packing || part.count == 0 || part.count == whole->count ||
        self->range_settled[range] < whole->count || packed_element(whole) > 0)
        return LS_OK;
    const float *weights = slice->parameters + ((ptrdiff_t)whole->first - (ptrdiff_t)slice->origin);
    return plan_pack(whole->packing, stream, whole->packing_index, weights, whole->packed, error);
}

static int average_slice(optimizer *self, device_stream *stream, const store_slice *slice,
                         ls_error *error) {
    size_t at = slice->span.first - slice->origin;
    if (!slice->average)
        return LS_OK;
    return self->device->is->ops->average(self->device, stream, slice->parameters + at,
                                          slice->average + at, slice->span.count,
                                          self->settings->average, self->state, error);
}

int optimizer_update_slice(optimizer *self, device_stream *stream, const store_slice *slice,
                           ls_error *error) {
    int taken = 0;
    self->settled += slice->span.count;
    for (int range = 0; range < self->range_count; range++)
        taken += take_piece(self, range, slice, &self->pieces[taken]);
    if (taken > 0)
        LS_TRY(run(self, stream, slice, self->pieces, taken, error));
    for (int range = 0; range < self->range_count; range++)
        LS_TRY(pack_split(self, stream, range, slice, error));
    return average_slice(self, stream, slice, error);
}

/* What waited for its neighbours. */
int optimizer_update_waiting(optimizer *self, ls_error *error) {
    store_slice slice = self->waiting;
    self->waiting.span.count = 0;
    return slice.span.count ? optimizer_update_slice(self, self->waiting_stream, &slice, error)
                            : LS_OK;
}

/* `more` lies right before what waits, in the same arrays: backward comes from the end. */
static bool continues(const optimizer *self, device_stream *stream, const store_slice *more) {
    const store_slice *waiting = &self->waiting;
    return more->span.first + more->span.count == waiting->span.first &&
           more->parameters == waiting->parameters && more->gradients == waiting->gradients &&
           more->average == waiting->average && more->origin == waiting->origin &&
           more->added == waiting->added && more->copied == waiting->copied &&
           stream == self->waiting_stream;
}

int optimizer_settled(void *context, device_stream *stream, const store_slice *slice,
                      ls_error *error) {
    optimizer *self = context;
    store_slice all = *slice;
    if (self->at_once)
        return LS_OK;
    if (self->waiting.span.count && continues(self, stream, slice)) {
        all.span.count += self->waiting.span.count;
        if (!all.begins.at)
            all.begins = self->waiting.begins;
    } else {
        LS_TRY(optimizer_update_waiting(self, error));
    }
    self->waiting = all;
    self->waiting_stream = stream;
    size_t left = self->held - self->settled - all.span.count;
    bool small = all.span.count < self->device->facts.least_update && left > 0;
    return small && !self->mode->is->publish ? LS_OK : optimizer_update_waiting(self, error);
}

void optimizer_settled_later(void *context, size_t count) {
    ((optimizer *)context)->settled += count;
}

bool optimizer_updates(void *context) {
    return !((const optimizer *)context)->at_once;
}

/* The packed copy of a range's part that lies in the slice, of parameters that came from another
 * rank. */
static int repack(optimizer *self, device_stream *stream, int range, const store_slice *slice,
                  ls_error *error) {
    const mode_settings *s = &self->mode->settings;
    parameter_range piece;
    if (!take_piece(self, range, slice, &piece))
        return LS_OK;
    const float *parameters = slice->parameters + piece.first;
    if (!piece.packing)
        return pack_split(self, stream, range, slice, error);
    if (packed_element(&piece) == 0)
        return plan_pack(piece.packing, stream, piece.packing_index, parameters, piece.packed,
                         error);
    return s->device->is->ops->cast(s->device, stream, piece.count, DTYPE_F32, parameters,
                                    network_type(s->network), piece.packed, error);
}

int optimizer_settled_elsewhere(void *context, device_stream *stream, const store_slice *slice,
                                ls_error *error) {
    optimizer *self = context;
    self->settled += slice->span.count;
    for (int range = 0; range < self->range_count; range++)
        LS_TRY(repack(self, stream, range, slice, error));
    return average_slice(self, stream, slice, error);
}
