#include "tiny_training.h"

#include "../support/packed_memory.h"
#include "base/random.h"
#include "model/layers.h"

#include <stdlib.h>
#include <string.h>

extern const device_interface device_cuda;

enum { FULL = 3, SHORT = 2, CLASSES = 4 };

typedef struct run {
    graph graph;
    device *device;
    device_stream *stream;
    network *network;
    packed_memory packed;
    float *flat[4]; /* parameters, gradients, two moments */
    step_state *state;
    float *rate; /* the learning rate */
    loss_totals *totals;
    uint8_t *images;
    int32_t *labels, *batch_labels;
    network_hooks hooks;
    device_graph *recorded;
    int second; /* the size of the second batch */
} run;

/* 6x6x3 -> 8 channels -> pool -> 5 channels -> 9 -> 4: sizes that are no multiple of anything, so
 * that parameters lie at addresses aligned to an element. */
static int build(graph *self, ls_error *error) {
    int x = graph_input(self, 6, 6, 3);
    x = graph_conv2d(self, "conv1", x, 8, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(self, "pool", x, 2, 2, 0);
    x = graph_conv2d(self, "conv2", x, 5, 3, 1, 1, ACTIVATION_RELU);
    x = graph_linear(self, "fc1", x, 9, ACTIVATION_RELU);
    x = graph_linear(self, "fc2", x, CLASSES, ACTIVATION_NONE);
    return graph_finish(self, x, error);
}

static int unit_block(const run *self, int which, int unit, float **out) {
    *out = self->flat[which] + self->graph.units[unit].first;
    return LS_OK;
}

static int parameters_of(void *context, int unit, const float **out, ls_error *error) {
    (void)error;
    return unit_block(context, 0, unit, (float **)out);
}

static int gradient_of(void *context, int unit, float **out, ls_error *error) {
    (void)error;
    return unit_block(context, 1, unit, out);
}

static int take(run *self, size_t bytes, void *out, ls_error *error) {
    return self->device->is->allocate(self->device, bytes, "a test", out, error);
}

static int put(run *self, void *to, const void *from, size_t bytes, ls_error *error) {
    LS_TRY(self->device->is->copy(self->device, self->stream, to, from, bytes, COPY_HOST_TO_DEVICE,
                                  error));
    return self->device->is->stream_synchronize(self->device, self->stream, error);
}

static int fill(run *self, precision wanted, ls_error *error) {
    static float parameters[4096];
    uint8_t images[FULL * 6 * 6 * 3];
    int32_t labels[FULL] = {1, 3, 0};
    step_state state = {.epoch = 1, .loss_scale = wanted == PRECISION_FP16 ? 1024.0f : 1.0f};
    for (size_t index = 0; index < sizeof images; index++)
        images[index] = (uint8_t)(index * 2654435761u >> 13);
    network_initialise(&self->graph, 7, parameters);
    LS_TRY(
        put(self, self->flat[0], parameters, self->graph.parameter_count * sizeof(float), error));
    LS_TRY(put(self, self->images, images, sizeof images, error));
    LS_TRY(put(self, self->labels, labels, sizeof labels, error));
    const float rate = 1e-2f;
    LS_TRY(put(self, self->rate, &rate, sizeof rate, error));
    LS_TRY(put(self, self->state, &state, sizeof state, error));
    return network_pack(self->network, self->stream, self->flat[0], error);
}

static int open_run(run *self, precision wanted, tiny_choice choice, bool short_too,
                    const char *imported, ls_error *error) {
    device_request request = {
        .local_size = 1, .threads = 1, .plan_cache = "", .first_offer = choice == BY_FIRST_OFFER};
    LS_TRY(build(&self->graph, error));
    LS_TRY(device_cuda.open(&request, &self->device, error));
    if (choice == BY_IMPORT)
        LS_TRY(device_cuda.choices_import(self->device, imported, error));
    LS_TRY(self->device->is->stream_create(self->device, &self->stream, error));
    LS_TRY(network_create(&self->graph, self->device, wanted, &self->network, error));
    LS_TRY(network_prepare(self->network, FULL, error));
    self->second = short_too ? SHORT : FULL;
    LS_TRY(network_prepare(self->network, self->second, error));
    LS_TRY(network_seal(self->network, error));
    LS_TRY(packed_memory_take(&self->packed, self->network, &self->graph, self->device, error));
    for (int array = 0; array < 4; array++)
        LS_TRY(take(self, self->graph.parameter_count * sizeof(float), &self->flat[array], error));
    LS_TRY(take(self, sizeof *self->state, &self->state, error));
    LS_TRY(take(self, sizeof *self->rate, &self->rate, error));
    LS_TRY(take(self, sizeof *self->totals, &self->totals, error));
    LS_TRY(take(self, FULL * 6 * 6 * 3, &self->images, error));
    LS_TRY(take(self, FULL * sizeof(int32_t), &self->labels, error));
    LS_TRY(take(self, FULL * sizeof(int32_t), &self->batch_labels, error));
    self->hooks =
        (network_hooks){.context = self, .parameters = parameters_of, .gradient = gradient_of};
    return fill(self, wanted, error);
}

static void close_run(run *self) {
    void *memory[] = {self->flat[0], self->flat[1], self->flat[2], self->flat[3],      self->state,
                      self->totals,  self->images,  self->labels,  self->batch_labels, self->rate};
    if (!self->device)
        return;
    self->device->is->graph_destroy(self->device, self->recorded);
    network_destroy(self->network);
    packed_memory_give_back(&self->packed);
    graph_release(&self->graph);
    for (size_t index = 0; index < sizeof memory / sizeof memory[0]; index++)
        self->device->is->release(self->device, memory[index]);
    self->device->is->stream_destroy(self->device, self->stream);
    self->device->is->close(self->device);
}

static int update(run *self, ls_error *error) {
    parameter_range ranges[16];
    const adam_constants constants = {.beta1 = 0.9f, .beta2 = 0.999f, .epsilon = 1e-8f};
    update_arguments arguments = {.parameters = self->flat[0],
                                  .gradients = self->flat[1],
                                  .moments = {self->flat[2], self->flat[3]},
                                  .rates = self->rate,
                                  .rate_count = 1,
                                  .state = self->state};
    int count = network_ranges(self->network, ranges);
    return self->device->is->ops->adam(self->device, self->stream, &constants, &arguments, ranges,
                                       count, error);
}

static int step(run *self, int n, ls_error *error) {
    const ops *ops = self->device->is->ops;
    pass *pass = network_pass(self->network, n);
    batch_arguments batch = {.images = self->images,
                             .labels = self->labels,
                             .count = n,
                             .height = 6,
                             .width = 6,
                             .channels = 3,
                             .layout = network_input_layout(self->network),
                             .type = network_type(self->network),
                             .scale = 2.0f / 255.0f,
                             .shift = -1.0f,
                             .out = pass_input(pass),
                             .out_labels = self->batch_labels};
    LS_TRY(ops->make_batch(self->device, self->stream, &batch, error));
    LS_TRY(network_forward(self->network, pass, true, self->stream, &self->hooks, error));
    loss_arguments loss = {.n = n,
                           .classes = CLASSES,
                           .type = network_type(self->network),
                           .logits = pass_logits(pass),
                           .labels = self->batch_labels,
                           .gradient_scale = 1.0f / (float)n,
                           .state = self->state,
                           .dlogits = pass_logits_gradient(pass),
                           .totals = self->totals};
    LS_TRY(ops->softmax_cross_entropy(self->device, self->stream, &loss, error));
    LS_TRY(network_backward(self->network, pass, self->stream, &self->hooks, error));
    LS_TRY(update(self, error));
    return ops->advance(self->device, self->stream, self->state, n, true, false, error);
}

/* Mean loss of the step before, from the growth of the totals. */
static int read_loss(run *self, loss_totals *before, double *out, ls_error *error) {
    loss_totals now;
    LS_TRY(self->device->is->copy(self->device, self->stream, &now, self->totals, sizeof now,
                                  COPY_DEVICE_TO_HOST, error));
    LS_TRY(self->device->is->stream_synchronize(self->device, self->stream, error));
    *out = (now.loss_sum - before->loss_sum) / (double)(now.samples - before->samples);
    *before = now;
    return LS_OK;
}

/* The last two are one recorded step, launched twice. */
static int train(run *self, double losses[TINY_STEPS], ls_error *error) {
    int sizes[TINY_STEPS] = {FULL, self->second, FULL, FULL};
    const device_interface *is = self->device->is;
    loss_totals totals = {0};
    for (int index = 0; index < TINY_STEPS; index++) {
        if (index == 2) {
            LS_TRY(is->graph_begin(self->device, self->stream, error));
            LS_TRY(step(self, sizes[index], error));
            LS_TRY(is->graph_end(self->device, self->stream, &self->recorded, error));
        }
        if (index < 2)
            LS_TRY(step(self, sizes[index], error));
        else
            LS_TRY(is->graph_launch(self->device, self->recorded, self->stream, error));
        LS_TRY(read_loss(self, &totals, &losses[index], error));
    }
    return LS_OK;
}

static void drop_remarks(char *text) {
    char *to = text;
    int depth = 0;
    for (const char *from = text; *from; from++) {
        depth += *from == '(';
        if (depth == 0)
            *to++ = *from;
        depth -= *from == ')' && depth > 0;
    }
    *to = '\0';
}

static int describe(const network *network, tiny_training *out) {
    text_buffer plans = {0};
    network_describe(network, &plans);
    int status = text_buffer_check(&plans, &out->error);
    if (status == LS_OK && plans.length >= sizeof out->plans)
        status = ls_fail(&out->error, LS_FAILED, "%zu letters of plans", plans.length);
    if (status == LS_OK && plans.bytes)
        strcpy(out->plans, plans.bytes);
    text_free(&plans);
    return status;
}

void tiny_train(precision wanted, tiny_choice choice, bool short_too, const char *imported,
                char **exported, tiny_training *out) {
    static run self;
    memset(&self, 0, sizeof self);
    memset(out, 0, sizeof *out);
    int status = open_run(&self, wanted, choice, short_too, imported, &out->error);
    if (status == LS_OK)
        status = train(&self, out->losses, &out->error);
    if (status == LS_OK && exported)
        device_cuda.choices_export(self.device, exported, &out->error);
    if (status == LS_OK)
        status = describe(self.network, out);
    drop_remarks(out->plans);
    if (self.device) {
        out->fallbacks = self.device->fallbacks;
        out->refusals = self.device->refusals;
    }
    close_run(&self);
}
