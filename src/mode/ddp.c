/* ddp: DistributedDataParallel. Every rank holds all parameters and computes its share of the
 * batch; the gradient is summed over the ranks in buckets that start as soon as backward has
 * written them (Li et al., "PyTorch Distributed: Experiences on Accelerating Data Parallel
 * Training", VLDB 2020, section 3.2). A bucket is a range of the flat gradient, cut from its end,
 * where gradients become ready first; tensors are not its borders. Sums, not means: the loss's
 * gradient already carries 1 / global count. */
#include "mode/parts.h"

#include <stdlib.h>

typedef struct bucket {
    size_t first, count;
    comm_work work;
} bucket;

typedef struct ddp_state {
    int bucket_count, started, finished; /* started in order, waited for in order */
    bucket buckets[];                    /* [0] is the end of the flat array */
} ddp_state;

static int cut_buckets(mode *self, ls_error *error) {
    size_t total = self->settings.graph->parameter_count;
    size_t most = self->settings.bucket_bytes / sizeof(float);
    size_t count = (total + most - 1) / most;
    ddp_state *state = calloc(1, sizeof *state + count * sizeof state->buckets[0]);
    if (!state)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->state = state;
    state->bucket_count = (int)count;
    for (size_t index = 0; index < count; index++) {
        size_t end = total - index * most;
        size_t first = end > most ? end - most : 0;
        state->buckets[index] = (bucket){.first = first, .count = end - first};
    }
    return LS_OK;
}

/* What a comm holds at once is bounded; no network is faster with more. */
enum { MOST_OUTSTANDING = 16 };

static int wait_oldest(mode *self, ls_error *error) {
    ddp_state *state = self->state;
    comm *comm = self->settings.comm;
    return comm->is->wait(comm, self->settings.stream, &state->buckets[state->finished++].work,
                          error);
}

/* Starts every bucket that lies wholly in what backward has written: [frontier, end). */
static int gradient_ready(void *context, int unit, ls_error *error) {
    mode *self = context;
    ddp_state *state = self->state;
    const graph *graph = self->settings.graph;
    size_t frontier = graph->layers[graph->unit_layers[unit]].first_weight;
    comm *comm = self->settings.comm;
    LS_TRY(step_clock_waiting(self->clock, error));
    while (state->started < state->bucket_count &&
           state->buckets[state->started].first >= frontier) {
        if (state->started - state->finished == MOST_OUTSTANDING)
            LS_TRY(wait_oldest(self, error));
        bucket *next = &state->buckets[state->started++];
        LS_TRY(comm->is->allreduce(comm, self->settings.stream, self->gradients + next->first,
                                   next->count, DTYPE_F32, REDUCTION_SUM, &next->work, error));
    }
    return step_clock_resumed(self->clock, error);
}

static int between(void *context, ls_error *error) {
    mode *self = context;
    comm *comm = self->settings.comm;
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(comm->is->progress(comm, error));
    return step_clock_resumed(self->clock, error);
}

static int finish(mode *self, ls_error *error) {
    ddp_state *state = self->state;
    LS_TRY(step_clock_waiting(self->clock, error));
    while (state->finished < state->started)
        LS_TRY(wait_oldest(self, error));
    state->started = state->finished = 0;
    return step_clock_resumed(self->clock, error);
}

/* The summed gradient is the same on all ranks, and so is what they find in it; they agree all the
 * same, so that nothing hangs on the bits of a reduction. */
static int agree_overflow(mode *self, int32_t *overflow, ls_error *error) {
    comm *comm = self->settings.comm;
    comm_work work = {0};
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(comm->is->allreduce(comm, self->settings.stream, overflow, 1, DTYPE_I32, REDUCTION_MAX,
                               &work, error));
    LS_TRY(comm->is->wait(comm, self->settings.stream, &work, error));
    return step_clock_resumed(self->clock, error);
}

static int setup(mode *self, ls_error *error) {
    self->hooks.parameters = mode_whole_parameters;
    self->hooks.gradient = mode_whole_gradient;
    self->hooks.gradient_ready = gradient_ready;
    if (!self->settings.device->facts.asynchronous) /* there, the comm gets on by itself */
        self->hooks.between = between;
    return cut_buckets(self, error);
}

static void teardown(mode *self) {
    free(self->state);
}

const mode_interface mode_ddp = {
    .name = "ddp",
    .capturable = true,
    .loader_share = mode_loader_own_share,
    .setup = setup,
    .teardown = teardown,
    .begin = mode_begin_own_batch,
    .loss = mode_loss_own_batch,
    .finish = finish,
    .agree_overflow = agree_overflow,
    .parameters_changed = mode_nothing_to_publish,
    .updates = mode_updates_everywhere,
};
