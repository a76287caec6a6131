/* dp: DataParallel's data flow, across ranks. Rank 0 owns data, parameters and optimizer. Each
 * step it broadcasts the parameters, scatters the batch, gathers the outputs, computes the loss on
 * them, scatters its gradient, and reduces the parameters' gradients to itself. Nothing of it
 * overlaps with computing: that is the mode's nature, and what the table shows. Micro-batches are
 * scattered and gathered one by one; parameters and gradients travel once a step. */
#include "mode/parts.h"

#include <stdlib.h>

typedef struct dp_state {
    bool published; /* the other ranks have the current parameters */
    /* Root: a micro-batch of all ranks [global count, h, w, c], in the input layout. */
    void *batch;
    void *logits, *logits_gradient; /* root: [global count, classes] */
    int64_t *counts;                /* [size]: elements a rank, of the collective at hand */
} dp_state;

/* Of a batch of all ranks that the root holds: the network's input, and logits. */
static size_t input_bytes(const mode_settings *s) {
    size_t batch = (size_t)((s->global_batch + s->micro_batches - 1) / s->micro_batches);
    return (batch + (size_t)s->beside) * network_input_elements(s->network) *
           dtype_bytes(network_type(s->network));
}

static size_t output_bytes(const mode_settings *s) {
    size_t batch = (size_t)((s->global_batch + s->micro_batches - 1) / s->micro_batches);
    size_t classes = graph_tensor_elements(&s->graph->tensors[s->graph->output]);
    return batch * classes * dtype_bytes(network_type(s->network));
}

static void plan_memory(const mode_settings *s, size_t bytes[MEMORY_KINDS]) {
    mode_plan_whole(s, bytes);
    if (s->rank != 0)
        return;
    mode_plan_updates(s, s->graph->parameter_count, s->graph->parameter_count, bytes);
    bytes[MEMORY_COMMUNICATION] += input_bytes(s) + 2 * output_bytes(s);
}

static bool is_root(const mode *self) {
    return self->settings.rank == 0;
}

static void loader_share(const mode_settings *settings, int *rank, int *size) {
    *rank = 0;
    *size = settings->rank == 0 ? 1 : 0;
}

/* counts[r] = samples of the micro-batch that rank r computes, times `elements` a sample. */
static const int64_t *count_elements(mode *self, int64_t elements) {
    dp_state *state = self->state;
    for (int rank = 0; rank < self->settings.size; rank++)
        state->counts[rank] =
            share_of(self->at_hand.global_count, rank, self->settings.size).count * elements;
    return state->counts;
}

static float *whole(const mode *self, store_kind kind) {
    return store_at(self->store, kind, 0, store_length(self->store, kind));
}

static int publish_parameters(mode *self, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    comm_work work = {0};
    if (state->published)
        return LS_OK;
    LS_TRY(s->comm->is->broadcast(s->comm, s->stream, whole(self, STORE_PARAMETERS),
                                  s->graph->parameter_count, DTYPE_F32, 0, &work, error));
    LS_TRY(s->comm->is->wait(s->comm, s->stream, &work, error));
    state->published = true;
    return LS_OK;
}

static int scatter(mode *self, const void *all, void *part, int64_t elements, ls_error *error) {
    const mode_settings *s = &self->settings;
    comm_work work = {0};
    LS_TRY(s->comm->is->scatter(s->comm, s->stream, all, part, count_elements(self, elements),
                                network_type(s->network), 0, &work, error));
    return s->comm->is->wait(s->comm, s->stream, &work, error);
}

static int begin(mode *self, const input_batch *batch, pass *pass, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    bool received = !state->published && !is_root(self);
    if (is_root(self))
        LS_TRY(mode_make_part(self, s->stream, batch, self->at_hand.loaded, state->batch, error));
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(publish_parameters(self, error));
    LS_TRY(scatter(self, state->batch, pass_input(pass), mode_input_elements(self), error));
    LS_TRY(step_clock_resumed(self->clock, error));
    step_clock_round_ends(self->clock);
    return received ? mode_pack(self, error) : LS_OK;
}

static int gather_logits(mode *self, pass *pass, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    comm_work work = {0};
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(s->comm->is->gather(s->comm, s->stream, pass_logits(pass), state->logits,
                               count_elements(self, mode_classes(self)), network_type(s->network),
                               0, &work, error));
    LS_TRY(s->comm->is->wait(s->comm, s->stream, &work, error));
    return step_clock_resumed(self->clock, error);
}

static int loss(mode *self, const input_batch *batch, pass *pass, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    LS_TRY(gather_logits(self, pass, error));
    loss_arguments arguments = {.n = (int)self->at_hand.global_count,
                                .classes = mode_classes(self),
                                .type = network_type(s->network),
                                .logits = state->logits,
                                .labels = batch_labels(batch) + self->at_hand.loaded.first,
                                .dlogits = state->logits_gradient,
                                .totals = self->totals};
    if (is_root(self))
        LS_TRY(mode_compute_loss(self, batch, &arguments, error));
    if (!batch->training)
        return LS_OK;
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(scatter(self, state->logits_gradient, pass_logits_gradient(pass), mode_classes(self),
                   error));
    LS_TRY(step_clock_resumed(self->clock, error));
    step_clock_round_ends(self->clock); /* with the gather: that alone holds up only the root */
    return LS_OK;
}

static int finish(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    comm_work work = {0};
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(s->comm->is->reduce(s->comm, s->stream, whole(self, STORE_GRADIENTS),
                               s->graph->parameter_count, DTYPE_F32, REDUCTION_SUM, 0, &work,
                               error));
    LS_TRY(s->comm->is->wait(s->comm, s->stream, &work, error));
    LS_TRY(step_clock_resumed(self->clock, error));
    step_clock_round_ends(self->clock);
    return LS_OK;
}

static void parameters_changed(mode *self) {
    ((dp_state *)self->state)->published = false;
}

static int take(mode *self, size_t bytes, const char *what, void **out, ls_error *error) {
    return store_take(self->store, MEMORY_COMMUNICATION, false, bytes, what, out, error);
}

static int allocate_root(mode *self, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    LS_TRY(take(self, input_bytes(s), "the global batch", &state->batch, error));
    LS_TRY(take(self, output_bytes(s), "logits", &state->logits, error));
    return take(self, output_bytes(s), "logits", &state->logits_gradient, error);
}

static int setup(mode *self, ls_error *error) {
    dp_state *state = calloc(1, sizeof *state);
    if (!state)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->state = state;
    LS_TRY(mode_hold_whole(self, error));
    if (is_root(self))
        LS_TRY(store_update_whole(self->store, error));
    state->counts = calloc((size_t)self->settings.size, sizeof *state->counts);
    if (!state->counts)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->hooks.parameters = mode_whole_parameters;
    self->hooks.gradient = mode_whole_gradient;
    self->hooks.buffers = mode_whole_buffers;
    return is_root(self) ? allocate_root(self, error) : LS_OK;
}

static void teardown(mode *self) {
    dp_state *state = self->state;
    free(state->counts);
    free(state);
}

const mode_interface mode_dp = {
    .name = "dp",
    .scatters = true,
    .loader_share = loader_share,
    .plan_memory = plan_memory,
    .setup = setup,
    .teardown = teardown,
    .begin = begin,
    .loss = loss,
    .finish = finish,
    .parameters_changed = parameters_changed,
};
