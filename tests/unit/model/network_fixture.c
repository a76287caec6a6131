#include "network_fixture.h"

#include "base/random.h"

#include <stdio.h>
#include <stdlib.h>

static const graph_unit *unit_of(const fixture *f, int unit) {
    return &f->graph.units[unit];
}

static int hook_parameters(void *context, int unit, const float **out, ls_error *error) {
    (void)error;
    fixture *f = context;
    *out = f->parameters + unit_of(f, unit)->first;
    return LS_OK;
}

static int hook_gradient(void *context, int unit, float **out, ls_error *error) {
    (void)error;
    fixture *f = context;
    *out = f->gradients + unit_of(f, unit)->first;
    return LS_OK;
}

static int hook_ready(void *context, int unit, ls_error *error) {
    (void)error;
    fixture *f = context;
    f->ready[f->ready_count++] = unit;
    return LS_OK;
}

static int hook_buffers(void *context, float **out, ls_error *error) {
    (void)error;
    *out = ((fixture *)context)->buffers;
    return LS_OK;
}

void fixture_give_up(const ls_error *error) {
    printf("Bail out! %s\n", error->text);
    exit(1);
}

void fixture_residual(graph *g) {
    ls_error error = {0};
    int x = graph_input(g, 6, 6, 3);
    x = graph_conv2d(g, "stem", x, 16, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(g, "pool", x, 2, 2, 0);
    int y = graph_conv2d(g, "body1", x, 16, 3, 1, 1, ACTIVATION_RELU);
    y = graph_conv2d(g, "body2", y, 16, 3, 1, 1, ACTIVATION_NONE);
    x = graph_join(g, "join", x, y, ACTIVATION_RELU);
    x = graph_conv2d(g, "tail", x, 16, 1, 1, 0, ACTIVATION_RELU);
    x = graph_linear(g, "head", x, 4, ACTIVATION_NONE);
    MUST(graph_finish(g, x, &error));
}

void fixture_normed(graph *g) {
    ls_error error = {0};
    int x = graph_input(g, 8, 8, 3);
    x = graph_conv2d_unbiased(g, "stem", x, 16, 7, 1, 3);
    x = graph_batchnorm2d(g, "norm", x, -1, ACTIVATION_RELU);
    x = graph_maxpool2d(g, "pool", x, 3, 2, 1);
    int y = graph_conv2d_unbiased(g, "body1", x, 16, 3, 1, 1);
    y = graph_batchnorm2d(g, "norm1", y, -1, ACTIVATION_RELU);
    y = graph_conv2d_unbiased(g, "body2", y, 16, 3, 1, 1);
    x = graph_batchnorm2d(g, "norm2", y, x, ACTIVATION_RELU);
    int kept = graph_conv2d_unbiased(g, "down", x, 32, 1, 2, 0);
    kept = graph_batchnorm2d(g, "normd", kept, -1, ACTIVATION_NONE);
    y = graph_conv2d_unbiased(g, "body3", x, 32, 3, 2, 1);
    x = graph_batchnorm2d(g, "norm3", y, kept, ACTIVATION_RELU);
    x = graph_avgpool2d(g, "mean", x);
    x = graph_linear(g, "head", x, 4, ACTIVATION_NONE);
    MUST(graph_finish(g, x, &error));
}

void fixture_open(fixture *f, const char *device_name, const int *sizes, int size_count) {
    ls_error error = {0};
    device_request request = {.local_size = 1, .threads = 2};
    MUST(device_open(device_name, &request, &f->device, &error));
    MUST(f->device->is->stream_create(f->device, &f->stream, &error));
    MUST(network_create(&f->graph, f->device, PRECISION_FP32, &f->network, &error));
    for (int index = 0; index < size_count; index++)
        MUST(network_prepare(f->network, sizes[index], &error));
    MUST(network_seal(f->network, &error));
    MUST(packed_memory_take(&f->packed, f->network, &f->graph, f->device, &error));
    size_t bytes = f->graph.parameter_count * sizeof(float);
    MUST(f->device->is->allocate(f->device, bytes, "a test", (void **)&f->parameters, &error));
    MUST(f->device->is->allocate(f->device, bytes, "a test", (void **)&f->gradients, &error));
    if (f->graph.buffer_count > 0)
        MUST(f->device->is->allocate(f->device, f->graph.buffer_count * sizeof(float), "a test",
                                     (void **)&f->buffers, &error));
    f->hooks = (network_hooks){.context = f,
                               .buffers = hook_buffers,
                               .parameters = hook_parameters,
                               .gradient = hook_gradient,
                               .gradient_ready = hook_ready};
}

void fixture_close(fixture *f) {
    network_destroy(f->network);
    packed_memory_give_back(&f->packed);
    graph_release(&f->graph);
    f->device->is->release(f->device, f->parameters);
    f->device->is->release(f->device, f->gradients);
    if (f->buffers)
        f->device->is->release(f->device, f->buffers);
    f->device->is->stream_destroy(f->device, f->stream);
    device_close(f->device);
}

void fixture_put(fixture *f, void *to, const float *from, size_t count) {
    ls_error error = {0};
    MUST(f->device->is->copy(f->device, f->stream, to, from, count * sizeof(float),
                             COPY_HOST_TO_DEVICE, &error));
    MUST(f->device->is->stream_synchronize(f->device, f->stream, &error));
}

void fixture_get(fixture *f, float *to, const void *from, size_t count) {
    ls_error error = {0};
    MUST(f->device->is->copy(f->device, f->stream, to, from, count * sizeof(float),
                             COPY_DEVICE_TO_HOST, &error));
    MUST(f->device->is->stream_synchronize(f->device, f->stream, &error));
}

void fixture_random(float *out, size_t count, uint64_t stream) {
    uint32_t block[4];
    for (size_t index = 0; index < count; index++) {
        random_block(7, RANDOM_SYNTHETIC, stream, index, block);
        out[index] = 2 * random_unit(block[0]) - 1;
    }
}

void fixture_fill_input(fixture *f, pass *pass, int n) {
    ls_error error = {0};
    const graph_tensor *x = &f->graph.tensors[0];
    size_t count = (size_t)n * graph_tensor_elements(x);
    uint8_t *images, *host = malloc(count);
    int32_t *labels;
    uint32_t block[4];
    for (size_t index = 0; index < count; index++) {
        random_block(3, RANDOM_SYNTHETIC, 1, index, block);
        host[index] = (uint8_t)block[0];
    }
    MUST(f->device->is->allocate(f->device, count, "a test", (void **)&images, &error));
    MUST(f->device->is->allocate(f->device, (size_t)n * 8, "a test", (void **)&labels, &error));
    MUST(f->device->is->copy(f->device, f->stream, images, host, count, COPY_HOST_TO_DEVICE,
                             &error));
    batch_arguments arguments = {.images = images,
                                 .labels = labels,
                                 .count = n,
                                 .height = x->height,
                                 .width = x->width,
                                 .channels = x->channels,
                                 .layout = network_input_layout(f->network),
                                 .scale = 2.0f / 255,
                                 .shift = -1,
                                 .out = pass_input(pass),
                                 .out_labels = labels + n};
    MUST(f->device->is->ops->make_batch(f->device, f->stream, &arguments, &error));
    MUST(f->device->is->stream_synchronize(f->device, f->stream, &error));
    f->device->is->release(f->device, images);
    f->device->is->release(f->device, labels);
    free(host);
}
