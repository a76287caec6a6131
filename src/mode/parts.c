#include "mode/parts.h"

static const graph_layer *layer_of(const mode *self, int unit) {
    return &self->settings.graph->layers[self->settings.graph->unit_layers[unit]];
}

int mode_whole_parameters(void *context, int unit, const float **out, ls_error *error) {
    (void)error;
    mode *self = context;
    *out = self->parameters + layer_of(self, unit)->first_weight;
    return LS_OK;
}

int mode_whole_gradient(void *context, int unit, float **out, ls_error *error) {
    (void)error;
    mode *self = context;
    *out = self->gradients + layer_of(self, unit)->first_weight;
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
    const mode_settings *s = &self->settings;
    if (!s->settled)
        return LS_OK;
    if (has_update_stream(self)) {
        LS_TRY(order_streams(self, self->settled_event, s->stream, s->update_stream, error));
        return s->settled(s->settled_context, s->update_stream, first, count, error);
    }
    LS_TRY(step_clock_leave(self->clock, error));
    device_range_begin(s->device, "optimizer");
    LS_TRY(s->settled(s->settled_context, s->stream, first, count, error));
    device_range_end(s->device);
    return step_clock_return(self->clock, STEP_OPTIMIZER, error);
}

int mode_settle_unit(mode *self, int unit, ls_error *error) {
    const graph_layer *layer = layer_of(self, unit);
    return mode_settle(self, layer->first_weight, layer->weight_count + layer->bias_count, error);
}

int mode_join_updates(mode *self, ls_error *error) {
    const mode_settings *s = &self->settings;
    if (!has_update_stream(self))
        return LS_OK;
    return order_streams(self, self->updated_event, s->update_stream, s->stream, error);
}

/* A batch in host memory that the device cannot address goes through the staging buffers, which
 * lie still, so that a recorded step finds the next batch there. */
static bool is_staged(const mode *self, const mode_batch *batch) {
    return !self->settings.device->facts.host_addressable && !batch->order && batch->loaded > 0;
}

int mode_stage_in(mode *self, device_stream *stream, const mode_batch *batch, ls_error *error) {
    const mode_settings *s = &self->settings;
    if (!is_staged(self, batch))
        return LS_OK;
    size_t count = (size_t)batch->loaded;
    size_t image = (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    struct {
        void *to;
        const void *from;
        size_t bytes;
    } parts[] = {{self->staged_images, batch->images, image * count},
                 {self->staged_labels, batch->labels, sizeof(int32_t) * count},
                 {self->staged_ids, batch->ids, sizeof(int64_t) * count}};
    for (size_t part = 0; part < sizeof parts / sizeof parts[0]; part++)
        if (parts[part].from)
            LS_TRY(s->device->is->copy(s->device, stream, parts[part].to, parts[part].from,
                                       parts[part].bytes, COPY_HOST_TO_DEVICE, error));
    return LS_OK;
}

int mode_stage(mode *self, const mode_batch *batch, ls_error *error) {
    return mode_stage_in(self, self->settings.stream, batch, error);
}

int mode_make_batch(mode *self, device_stream *stream, const mode_batch *batch, void *out,
                    ls_error *error) {
    return mode_make_part(self, stream, batch, (share){0, batch->loaded}, out, error);
}

int mode_make_part(mode *self, device_stream *stream, const mode_batch *batch, share part,
                   void *out, ls_error *error) {
    const mode_settings *s = &self->settings;
    bool staged = is_staged(self, batch);
    size_t image = (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    batch_arguments arguments = {.images = staged ? self->staged_images : batch->images,
                                 .labels = staged ? self->staged_labels : batch->labels,
                                 .ids = staged && batch->ids ? self->staged_ids : batch->ids,
                                 .order = batch->order,
                                 .state = batch->state,
                                 .count = (int)part.count,
                                 .height = s->height,
                                 .width = s->width,
                                 .channels = s->channels,
                                 .layout = network_input_layout(s->network),
                                 .type = network_type(s->network),
                                 .scale = s->scale,
                                 .shift = s->shift,
                                 .out = out,
                                 .out_labels = mode_labels(self, batch) + part.first};
    if (batch->training)
        arguments.augment = s->augment;
    if (arguments.order) {
        arguments.order += part.first;
    } else if (part.first > 0) { /* what is not there is not asked for */
        arguments.images += (size_t)part.first * image;
        arguments.labels += part.first;
        arguments.ids += arguments.ids ? part.first : 0;
    }
    return s->device->is->ops->make_batch(s->device, stream, &arguments, error);
}

int mode_begin_own_batch(mode *self, const mode_batch *batch, pass *pass, ls_error *error) {
    network_take_input(self->settings.network, pass, batch->place);
    if (batch->made)
        return LS_OK;
    return mode_make_batch(self, self->settings.stream, batch, pass_input(pass), error);
}

int mode_loss_own_batch(mode *self, const mode_batch *batch, pass *pass, ls_error *error) {
    return mode_loss_of_part(self, batch, (share){0, batch->loaded}, pass, self->totals, error);
}

int mode_loss_of_part(mode *self, const mode_batch *batch, share part, pass *pass,
                      loss_totals *totals, ls_error *error) {
    const mode_settings *s = &self->settings;
    return s->device->is->ops->softmax_cross_entropy(
        s->device, s->stream, (int)part.count, s->classes, network_type(s->network),
        pass_logits(pass), mode_labels(self, batch) + part.first, 1.0f / (float)batch->global_count,
        batch->state, batch->training ? pass_logits_gradient(pass) : NULL, totals, error);
}

void mode_loader_own_share(const mode_settings *settings, int *rank, int *size) {
    *rank = settings->rank;
    *size = settings->size;
}

bool mode_updates_everywhere(const mode *self) {
    (void)self;
    return true;
}

void mode_nothing_to_publish(mode *self) {
    (void)self;
}
