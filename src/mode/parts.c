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

/* Host memory reaches a device that cannot address it through the staging buffers. */
static int stage(mode *self, const mode_batch *batch, batch_arguments *arguments, ls_error *error) {
    const mode_settings *s = &self->settings;
    arguments->images = batch->images;
    arguments->labels = batch->labels;
    if (s->device->facts.host_addressable || batch->loaded == 0)
        return LS_OK;
    size_t image = (size_t)s->height * (size_t)s->width * (size_t)s->channels;
    LS_TRY(s->device->is->copy(s->device, s->stream, self->staged_images, batch->images,
                               image * (size_t)batch->loaded, COPY_HOST_TO_DEVICE, error));
    LS_TRY(s->device->is->copy(s->device, s->stream, self->staged_labels, batch->labels,
                               sizeof(int32_t) * (size_t)batch->loaded, COPY_HOST_TO_DEVICE,
                               error));
    arguments->images = self->staged_images;
    arguments->labels = self->staged_labels;
    return LS_OK;
}

int mode_make_batch(mode *self, const mode_batch *batch, void *out, ls_error *error) {
    const mode_settings *s = &self->settings;
    batch_arguments arguments = {.count = batch->loaded,
                                 .height = s->height,
                                 .width = s->width,
                                 .channels = s->channels,
                                 .layout = network_input_layout(s->network),
                                 .type = DTYPE_F32,
                                 .scale = s->scale,
                                 .shift = s->shift,
                                 .out = out,
                                 .out_labels = self->labels};
    LS_TRY(stage(self, batch, &arguments, error));
    return s->device->is->ops->make_batch(s->device, s->stream, &arguments, error);
}

int mode_begin_own_batch(mode *self, const mode_batch *batch, pass *pass, ls_error *error) {
    return mode_make_batch(self, batch, pass_input(pass), error);
}

int mode_loss_own_batch(mode *self, const mode_batch *batch, pass *pass, ls_error *error) {
    const mode_settings *s = &self->settings;
    return s->device->is->ops->softmax_cross_entropy(
        s->device, s->stream, batch->loaded, s->classes, DTYPE_F32, pass_logits(pass), self->labels,
        1.0f / (float)batch->global_count, batch->training ? pass_logits_gradient(pass) : NULL,
        self->totals, error);
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
