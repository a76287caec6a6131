/* dp: DataParallel's data flow, across ranks. Rank 0 owns data, parameters and optimizer. Each
 * step it broadcasts the parameters, scatters the batch, gathers the outputs, computes the loss on
 * them, scatters its gradient, and reduces the parameters' gradients to itself. Nothing of it
 * overlaps with computing: that is the mode's nature, and what the table shows. */
#include "mode/parts.h"

#include <stdlib.h>

typedef struct dp_state {
    bool published;                 /* the other ranks have the current parameters */
    void *batch;                    /* root: [global batch, h, w, c] in the input layout */
    void *logits, *logits_gradient; /* root: [global batch, classes] */
    int64_t *counts;                /* [size]: elements a rank, of the collective at hand */
} dp_state;

static bool is_root(const mode *self) {
    return self->settings.rank == 0;
}

static void loader_share(const mode_settings *settings, int *rank, int *size) {
    *rank = 0;
    *size = settings->rank == 0 ? 1 : 0;
}

/* counts[r] = samples of rank r times `elements` a sample. */
static const int64_t *count_elements(mode *self, int64_t global_count, int64_t elements) {
    dp_state *state = self->state;
    for (int rank = 0; rank < self->settings.size; rank++)
        state->counts[rank] = share_of(global_count, rank, self->settings.size).count * elements;
    return state->counts;
}

static int publish_parameters(mode *self, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    comm_work work = {0};
    if (state->published)
        return LS_OK;
    LS_TRY(s->comm->is->broadcast(s->comm, s->stream, self->parameters, s->graph->parameter_count,
                                  DTYPE_F32, 0, &work, error));
    LS_TRY(s->comm->is->wait(s->comm, s->stream, &work, error));
    state->published = true;
    return LS_OK;
}

static int scatter(mode *self, const void *whole, void *part, int64_t global_count,
                   int64_t elements, ls_error *error) {
    const mode_settings *s = &self->settings;
    comm_work work = {0};
    LS_TRY(s->comm->is->scatter(s->comm, s->stream, whole, part,
                                count_elements(self, global_count, elements),
                                network_type(s->network), 0, &work, error));
    return s->comm->is->wait(s->comm, s->stream, &work, error);
}

static int begin(mode *self, const mode_batch *batch, pass *pass, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    bool received = !state->published && !is_root(self);
    if (is_root(self))
        LS_TRY(mode_make_batch(self, s->stream, batch, state->batch, error));
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(publish_parameters(self, error));
    LS_TRY(scatter(self, state->batch, pass_input(pass), batch->global_count,
                   (int64_t)s->height * s->width * s->channels, error));
    LS_TRY(step_clock_resumed(self->clock, error));
    step_clock_round_ends(self->clock);
    return received ? network_pack(s->network, s->stream, self->parameters, error) : LS_OK;
}

static int gather_logits(mode *self, const mode_batch *batch, pass *pass, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    comm_work work = {0};
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(s->comm->is->gather(s->comm, s->stream, pass_logits(pass), state->logits,
                               count_elements(self, batch->global_count, s->classes),
                               network_type(s->network), 0, &work, error));
    LS_TRY(s->comm->is->wait(s->comm, s->stream, &work, error));
    return step_clock_resumed(self->clock, error);
}

static int loss(mode *self, const mode_batch *batch, pass *pass, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    LS_TRY(gather_logits(self, batch, pass, error));
    if (is_root(self))
        LS_TRY(s->device->is->ops->softmax_cross_entropy(
            s->device, s->stream, (int)batch->global_count, s->classes, network_type(s->network),
            state->logits, mode_labels(self, batch), 1.0f / (float)batch->global_count,
            batch->state, batch->training ? state->logits_gradient : NULL, self->totals, error));
    if (!batch->training)
        return LS_OK;
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(scatter(self, state->logits_gradient, pass_logits_gradient(pass), batch->global_count,
                   s->classes, error));
    LS_TRY(step_clock_resumed(self->clock, error));
    step_clock_round_ends(self->clock); /* with the gather: that alone holds up only the root */
    return LS_OK;
}

static int finish(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    comm_work work = {0};
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(s->comm->is->reduce(s->comm, s->stream, self->gradients, s->graph->parameter_count,
                               DTYPE_F32, REDUCTION_SUM, 0, &work, error));
    LS_TRY(s->comm->is->wait(s->comm, s->stream, &work, error));
    LS_TRY(step_clock_resumed(self->clock, error));
    step_clock_round_ends(self->clock);
    return LS_OK;
}

static void parameters_changed(mode *self) {
    ((dp_state *)self->state)->published = false;
}

static int allocate_root(mode *self, ls_error *error) {
    dp_state *state = self->state;
    const mode_settings *s = &self->settings;
    size_t batch = (size_t)s->global_batch;
    size_t image = (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    size_t element = dtype_bytes(network_type(s->network));
    size_t outputs = batch * (size_t)s->classes * element;
    LS_TRY(s->device->is->allocate(s->device, batch * image * element, "the global batch",
                                   &state->batch, error));
    LS_TRY(s->device->is->allocate(s->device, outputs, "logits", &state->logits, error));
    return s->device->is->allocate(s->device, outputs, "logits", &state->logits_gradient, error);
}

static int setup(mode *self, ls_error *error) {
    dp_state *state = calloc(1, sizeof *state);
    if (!state)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->state = state;
    state->counts = calloc((size_t)self->settings.size, sizeof *state->counts);
    if (!state->counts)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->hooks.parameters = mode_whole_parameters;
    self->hooks.gradient = mode_whole_gradient;
    return is_root(self) ? allocate_root(self, error) : LS_OK;
}

static void teardown(mode *self) {
    dp_state *state = self->state;
    device *device = self->settings.device;
    void *memory[] = {state->batch, state->logits, state->logits_gradient};
    for (size_t index = 0; index < sizeof memory / sizeof memory[0]; index++)
        if (memory[index])
            device->is->release(device, memory[index]);
    free(state->counts);
    free(state);
}

const mode_interface mode_dp = {
    .name = "dp",
    .loader_share = loader_share,
    .setup = setup,
    .teardown = teardown,
    .begin = begin,
    .loss = loss,
    .finish = finish,
    .parameters_changed = parameters_changed,
    .updates = is_root,
};
