/* Updates on the cuda device: ranges are put into launches of up to UPDATE_RANGES. */
#include "cuda/kernels/kernels.h"
#include "cuda/ops/ops_cuda.h"

#include <stddef.h>

/* Elements in one range of a launch, at most: chunks are counted in 32 bits. */
static const size_t MOST_IN_RANGE = (size_t)1 << 34;

/* Where the launches of an update have come to. */
typedef struct range_cursor {
    const parameter_range *ranges;
    int count, range;
    size_t done; /* elements of that range */
} range_cursor;

static update_runs runs_of(op_runs runs) {
    return (update_runs){(uint16_t)runs.length, (uint16_t)runs.stride};
}

/* The copy of what lies `done` elements behind the range's first; in runs it is made whole. */
static void add_packed(const parameter_range *from, size_t done, update_range *to) {
    const op_packed *copy = from->packing ? &from->packing->packed[from->packing_index] : NULL;
    if (!copy || copy->bytes == 0 || !from->packed)
        return;
    to->packed_type = copy->type;
    to->packed_runs = runs_of(copy->runs);
    to->packed = (char *)from->packed + done * dtype_bytes(copy->type);
}

static void add_left(const parameter_range *from, size_t done, update_range *to) {
    if (!from->left)
        return;
    to->packed_type = from->left_as->type;
    to->left_runs = runs_of(from->left_as->runs);
    to->left = from->left;
    to->left_first = from->left_first + done;
}

/* Takes ranges from there on, until a launch is full or there are no more: then false. */
static bool next_launch(range_cursor *at, update_ranges *out) {
    out->count = 0;
    while (at->range < at->count && out->count < UPDATE_RANGES) {
        const parameter_range *from = &at->ranges[at->range];
        size_t left = from->count - at->done;
        update_range *to = &out->of[out->count];
        *to = (update_range){.first = from->first + at->done,
                             .count = left < MOST_IN_RANGE ? left : MOST_IN_RANGE,
                             .rate_scale = from->rate_scale,
                             .weight_decay = from->weight_decay};
        add_packed(from, at->done, to);
        add_left(from, at->done, to);
        at->done += to->count;
        if (to->count > 0)
            out->count++;
        if (at->done == from->count) {
            at->range++;
            at->done = 0;
        }
    }
    return out->count > 0;
}

/* What a launch is given: the last one of a call moves the state on. */
static update_arguments arguments_for(const update_arguments *all, const range_cursor *at) {
    update_arguments some = *all;
    if (at->range < at->count)
        some.advanced = NULL;
    return some;
}

/* Nothing was there to update, and the state is to move on. */
static int advance_alone(device *self, device_stream *stream, const update_arguments *a,
                         ls_error *error) {
    if (!a->advanced)
        return LS_OK;
    LS_TRY(cuda_advance(self, stream, a->advanced, a->images, true, a->scaling, error));
    return a->shown ? cuda_copy(self, stream, a->shown, a->advanced, sizeof *a->shown,
                                COPY_DEVICE_TO_HOST, error)
                    : LS_OK;
}

/* The rule of an update: the one that has constants. */
typedef struct update_rule {
    const adam_constants *adam;
    const sgd_constants *sgd;
} update_rule;

static int launch(const cuda_device *self, device_stream *stream, update_rule rule,
                  const update_arguments *arguments, const update_ranges *ranges, ls_error *error) {
    void *scratch = (char *)self->scratch + KERNEL_UPDATES_AT;
    if (rule.adam)
        CUDA_TRY(kernel_adam(cuda_stream(stream), self->multiprocessors, rule.adam, arguments,
                             ranges, scratch),
                 "adam");
    else
        CUDA_TRY(kernel_sgd(cuda_stream(stream), self->multiprocessors, rule.sgd, arguments, ranges,
                            scratch),
                 "sgd");
    return LS_OK;
}

static int update(device *self, device_stream *stream, update_rule rule,
                  const update_arguments *arguments, range_cursor at, ls_error *error) {
    const cuda_device *cuda = cuda_enter(self);
    int launches = 0;
    for (update_ranges ranges; next_launch(&at, &ranges); launches++) {
        update_arguments some = arguments_for(arguments, &at);
        LS_TRY(launch(cuda, stream, rule, &some, &ranges, error));
    }
    return launches ? LS_OK : advance_alone(self, stream, arguments, error);
}

int cuda_adam(device *self, device_stream *stream, const adam_constants *constants,
              const update_arguments *arguments, const parameter_range *ranges, int range_count,
              ls_error *error) {
    return update(self, stream, (update_rule){.adam = constants}, arguments,
                  (range_cursor){.ranges = ranges, .count = range_count}, error);
}

int cuda_sgd(device *self, device_stream *stream, const sgd_constants *constants,
             const update_arguments *arguments, const parameter_range *ranges, int range_count,
             ls_error *error) {
    return update(self, stream, (update_rule){.sgd = constants}, arguments,
                  (range_cursor){.ranges = ranges, .count = range_count}, error);
}

int cuda_average(device *self, device_stream *stream, const float *values, float *average,
                 size_t count, double decay, const step_state *state, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_average(cuda_stream(stream), values, average, count, decay, state), "average");
    return LS_OK;
}

int cuda_clip_norm(device *self, device_stream *stream, const double *sums, size_t count,
                   double most, step_state *state, ls_error *error) {
    cuda_enter(self);
    CUDA_TRY(kernel_clip_norm(cuda_stream(stream), sums, count, most, state), "clip_norm");
    return LS_OK;
}
