#include "mode/parts.h"

int mode_hold_whole(mode *self, ls_error *error) {
    for (store_kind kind = STORE_PARAMETERS; kind <= STORE_BUFFERS; kind++)
        LS_TRY(store_hold_whole(self->store, kind, error));
    return LS_OK;
}

int mode_pack(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    size_t count = s->graph->parameter_count;
    if (mode_gathers(self))
        return LS_OK;
    return network_pack(s->network, s->stream, store_at(self->store, STORE_PARAMETERS, 0, count),
                        error);
}

int mode_parameters_written(mode *self, ls_error *error) {
    self->is->parameters_changed(self);
    if (self->is->collect)
        LS_TRY(self->is->collect(self, error));
    return mode_pack(self, error);
}

int mode_whole_parameters(void *context, int unit, const float **out, ls_error *error) {
    (void)error;
    mode *self = context;
    *out = mode_unit(self, STORE_PARAMETERS, unit);
    return LS_OK;
}

int mode_whole_gradient(void *context, int unit, float **out, ls_error *error) {
    (void)error;
    mode *self = context;
    *out = mode_unit(self, STORE_GRADIENTS, unit);
    return LS_OK;
}

int mode_whole_buffers(void *context, float **out, ls_error *error) {
    (void)error;
    const mode *self = context;
    *out = store_at(self->store, STORE_BUFFERS, 0, self->settings.graph->buffer_count);
    return LS_OK;
}

static bool has_update_stream(const mode *self) {
    return self->settled_event != NULL;
}

/* `later` goes on when `earlier` has come to where it is now. */
static int order_streams(const mode *self, device_event *event, device_stream *earlier,
                         device_stream *later, ls_error *error) {
    device *device = self->settings.device;
    LS_TRY(device->is->event_record(device, event, earlier, error));
    return device->is->stream_wait_event(device, later, event, error);
}

device_stream *mode_update_stream(const mode *self) {
    return has_update_stream(self) ? self->settings.update_stream : self->settings.stream;
}

int mode_settle(mode *self, size_t first, size_t count, ls_error *error) {
    store_slice slice = store_slice_of(self->store, first, count);
    return mode_settle_slice(self, &slice, error);
}

int mode_settle_slice(mode *self, const store_slice *slice, ls_error *error) {
    const mode_settings *s = &self->settings;
    if (!s->settled)
        return LS_OK;
    if (has_update_stream(self)) {
        LS_TRY(order_streams(self, self->settled_event, s->stream, s->update_stream, error));
        return s->settled(s->settled_context, s->update_stream, slice, error);
    }
    LS_TRY(step_clock_leave(self->clock, error));
    device_range_begin(s->device, "optimizer");
    LS_TRY(s->settled(s->settled_context, s->stream, slice, error));
    device_range_end(s->device);
    return step_clock_return(self->clock, STEP_OPTIMIZER, error);
}

int mode_settle_unit(mode *self, int unit, ls_error *error) {
    const graph_unit *block = &self->settings.graph->units[unit];
    return mode_settle(self, block->first, block->count, error);
}

int mode_settle_slot(mode *self, int unit, float *gradients, ls_error *error) {
    const graph_unit *block = &self->settings.graph->units[unit];
    store_slice slice = store_slice_of(self->store, block->first, block->count);
    size_t origin = block->first / STORE_GRAIN * STORE_GRAIN, further = origin - slice.origin;
    slice.origin = origin;
    slice.gradients = gradients;
    slice.parameters += further;
    if (slice.average)
        slice.average += further;
    for (int moment = 0; moment < STORE_MAX_MOMENTS; moment++)
        if (slice.moments[moment])
            slice.moments[moment] += further;
    return mode_settle_slice(self, &slice, error);
}

int mode_join_updates(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    if (!has_update_stream(self))
        return LS_OK;
    return order_streams(self, self->updated_event, s->update_stream, s->stream, error);
}

int64_t mode_input_elements(const mode *self) {
    return (int64_t)network_input_elements(self->settings.network);
}

int mode_classes(const mode *self) {
    const graph *graph = self->settings.graph;
    return (int)graph_tensor_elements(&graph->tensors[graph->output]);
}

int mode_make_part(mode *self, device_stream *stream, const input_batch *batch, share part,
                   void *out, ls_error *error) {
    const network *network = self->settings.network;
    return batch_make(batch, stream, part, network_input_layout(network), network_type(network),
                      out, error);
}

int mode_begin_own_batch(mode *self, const input_batch *batch, pass *pass, ls_error *error) {
    network_take_input(self->settings.network, pass, batch->place);
    if (batch->made)
        return LS_OK;
    return mode_make_part(self, self->settings.stream, batch, self->at_hand.loaded,
                          pass_input(pass), error);
}

int mode_loss_own_batch(mode *self, const input_batch *batch, pass *pass, ls_error *error) {
    return mode_loss_of_part(self, batch, self->at_hand.loaded, pass, self->totals, error);
}

int mode_compute_loss(mode *self, const input_batch *batch, loss_arguments *arguments,
                      ls_error *error) {
    const mode_settings *s = &self->settings;
    arguments->gradient_scale = 1.0f / (float)batch->global_count;
    arguments->state = batch->state;
    arguments->smoothing = batch->training ? s->label_smoothing : 0;
    if (batch_other_labels(batch)) {
        ptrdiff_t first = arguments->labels - batch_labels(batch);
        arguments->other_labels = batch_other_labels(batch) + first;
        arguments->weights = batch_weights(batch) + first;
    }
    if (!batch->training) { /* no gradient to scale, and no step of the run */
        arguments->dlogits = NULL;
        arguments->state = NULL;
    }
    return s->device->is->ops->softmax_cross_entropy(s->device, s->stream, arguments, error);
}

int mode_loss_of_part(mode *self, const input_batch *batch, share part, pass *pass,
                      loss_totals *totals, ls_error *error) {
    const mode_settings *s = &self->settings;
    loss_arguments arguments = {.n = (int)part.count,
                                .classes = mode_classes(self),
                                .type = network_type(s->network),
                                .logits = pass_logits(pass),
                                .labels = batch_labels(batch) + part.first,
                                .dlogits = pass_logits_gradient(pass),
                                .totals = totals};
    return mode_compute_loss(self, batch, &arguments, error);
}

int mode_agree_overflow(mode *self, outstanding *works, int32_t *overflow, ls_error *error) {
    comm_work work = {0};
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(outstanding_allreduce(works, overflow, 1, DTYPE_I32, REDUCTION_MAX,
                                 self->settings.stream, &work, error));
    LS_TRY(outstanding_wait(works, &work, self->settings.stream, error));
    outstanding_clear(works);
    return step_clock_resumed(self->clock, error);
}

/* The sum is over all ranks: what is added to a value of one rank is 0, and changes no bit. */
int mode_add_up_parts(mode *self, outstanding *works, double *values, size_t count,
                      ls_error *error) {
    const mode_settings *s = &self->settings;
    if (mode_group(s).copy > 0)
        LS_TRY(
            s->device->is->fill_zero(s->device, s->stream, values, count * sizeof *values, error));
    LS_TRY(step_clock_waiting(self->clock, error));
    LS_TRY(outstanding_allreduce_now(works, values, count, DTYPE_F64, REDUCTION_SUM, error));
    return step_clock_resumed(self->clock, error);
}

void mode_describe_buckets(mode *self, const bucket *buckets, int count) {
    mode_exchange *exchange = &self->exchange;
    size_t element = dtype_bytes(self->settings.gradient_type);
    exchange->bucket_count = count;
    for (int index = 0; index < count; index++) {
        size_t bytes = buckets[index].count * element;
        if (index == 0)
            exchange->first_bucket_bytes = bytes;
        if (bytes > exchange->largest_bucket_bytes)
            exchange->largest_bucket_bytes = bytes;
    }
}

void mode_loader_own_share(const mode_settings *settings, int *rank, int *size) {
    *rank = settings->rank;
    *size = settings->size;
}

void mode_nothing_to_publish(mode *self) {
    (void)self;
}
