/* The network: planned memory never shared by what lives together, gradients of whole graphs by
 * finite differences, empty batches. usage: test_network DEVICE */
#include "base/random.h"
#include "check.h"
#include "model/arena.h"
#include "model/network.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    graph graph;
    device *device;
    device_stream *stream;
    network *network;
    float *parameters, *gradients; /* device memory */
    int ready[64], ready_count;
    network_hooks hooks;
} fixture;

static const graph_layer *layer_of(const fixture *f, int unit) {
    return &f->graph.layers[f->graph.unit_layers[unit]];
}

static int hook_parameters(void *context, int unit, const float **out, ls_error *error) {
    (void)error;
    fixture *f = context;
    *out = f->parameters + layer_of(f, unit)->first_weight;
    return LS_OK;
}

static int hook_gradient(void *context, int unit, float **out, ls_error *error) {
    (void)error;
    fixture *f = context;
    *out = f->gradients + layer_of(f, unit)->first_weight;
    return LS_OK;
}

static int hook_ready(void *context, int unit, ls_error *error) {
    (void)error;
    fixture *f = context;
    f->ready[f->ready_count++] = unit;
    return LS_OK;
}

static void give_up(const ls_error *error) {
    printf("Bail out! %s\n", error->text);
    exit(1);
}

#define MUST(call)                                                                                 \
    do {                                                                                           \
        if ((call) != LS_OK)                                                                       \
            give_up(&error);                                                                       \
    } while (0)

/* 6x6x3 -> conv -> pool -> conv + residual -> linear: a tensor used twice, a ReLU masked by the
 * pool and ReLUs masked by their own layers. */
static void build_residual(graph *g) {
    ls_error error = {0};
    int x = graph_input(g, 6, 6, 3);
    x = graph_conv2d(g, "stem", x, 16, 3, 1, 1, true);
    x = graph_maxpool2d(g, "pool", x, 2);
    int y = graph_conv2d(g, "body1", x, 16, 3, 1, 1, true);
    y = graph_conv2d(g, "body2", y, 16, 3, 1, 1, false);
    x = graph_add(g, "join", x, y, true);
    x = graph_conv2d(g, "tail", x, 16, 1, 1, 0, true);
    x = graph_linear(g, "head", x, 4, false);
    MUST(graph_finish(g, x, &error));
}

static void open_fixture(fixture *f, const char *device_name, const int *sizes, int size_count) {
    ls_error error = {0};
    device_request request = {.local_size = 1, .threads = 2};
    MUST(device_open(device_name, &request, &f->device, &error));
    MUST(f->device->is->stream_create(f->device, &f->stream, &error));
    MUST(network_create(&f->graph, f->device, PRECISION_FP32, &f->network, &error));
    for (int index = 0; index < size_count; index++)
        MUST(network_prepare(f->network, sizes[index], &error));
    MUST(network_seal(f->network, &error));
    size_t bytes = f->graph.parameter_count * sizeof(float);
    MUST(f->device->is->allocate(f->device, bytes, "a test", (void **)&f->parameters, &error));
    MUST(f->device->is->allocate(f->device, bytes, "a test", (void **)&f->gradients, &error));
    f->hooks = (network_hooks){.context = f,
                               .parameters = hook_parameters,
                               .gradient = hook_gradient,
                               .gradient_ready = hook_ready};
}

static void close_fixture(fixture *f) {
    network_destroy(f->network);
    f->device->is->release(f->device, f->parameters);
    f->device->is->release(f->device, f->gradients);
    f->device->is->stream_destroy(f->device, f->stream);
    device_close(f->device);
}

/* Loss = sum of logits * fixed weights, so its gradient is those weights. */
static double logit_weight(size_t index) {
    return 0.3 + 0.1 * (double)(index % 7);
}

static void put(fixture *f, void *to, const float *from, size_t count) {
    ls_error error = {0};
    MUST(f->device->is->copy(f->device, f->stream, to, from, count * sizeof(float),
                             COPY_HOST_TO_DEVICE, &error));
    MUST(f->device->is->stream_synchronize(f->device, f->stream, &error));
}

static void get(fixture *f, float *to, const void *from, size_t count) {
    ls_error error = {0};
    MUST(f->device->is->copy(f->device, f->stream, to, from, count * sizeof(float),
                             COPY_DEVICE_TO_HOST, &error));
    MUST(f->device->is->stream_synchronize(f->device, f->stream, &error));
}

static void random_fill(float *out, size_t count, uint64_t stream) {
    uint32_t block[4];
    for (size_t index = 0; index < count; index++) {
        random_block(7, RANDOM_SYNTHETIC, stream, index, block);
        out[index] = 2 * random_unit(block[0]) - 1;
    }
}

/* The input of n samples, through the device's own batch maker. */
static void fill_input(fixture *f, pass *pass, int n) {
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

static double loss_of(fixture *f, pass *pass, int n, const float *parameters) {
    ls_error error = {0};
    size_t count = (size_t)n * 4;
    float logits[64];
    double loss = 0;
    put(f, f->parameters, parameters, f->graph.parameter_count);
    MUST(network_pack(f->network, f->stream, f->parameters, &error));
    fill_input(f, pass, n);
    MUST(network_forward(f->network, pass, f->stream, &f->hooks, &error));
    get(f, logits, pass_logits(pass), count);
    for (size_t index = 0; index < count; index++)
        loss += logit_weight(index) * (double)logits[index];
    return loss;
}

static void backward_of(fixture *f, pass *pass, int n, const float *parameters, float *gradients) {
    ls_error error = {0};
    float dlogits[64];
    loss_of(f, pass, n, parameters);
    for (size_t index = 0; index < (size_t)n * 4; index++)
        dlogits[index] = (float)logit_weight(index);
    put(f, pass_logits_gradient(pass), dlogits, (size_t)n * 4);
    f->ready_count = 0;
    MUST(network_backward(f->network, pass, f->stream, &f->hooks, &error));
    get(f, gradients, f->gradients, f->graph.parameter_count);
}

/* Central differences along each unit's own gradient direction: the slope there is the gradient's
 * length. ReLU and max make the loss only piecewise smooth, so the step is small and one unit is
 * compared as a whole, where a kink weighs little. */
static void check_gradients(const char *device_name, int n) {
    static fixture f;
    memset(&f, 0, sizeof f);
    build_residual(&f.graph);
    open_fixture(&f, device_name, (int[]){5, n}, 2);
    size_t count = f.graph.parameter_count;
    float *parameters = malloc(count * sizeof(float)), *moved = malloc(count * sizeof(float));
    float *gradients = malloc(count * sizeof(float));
    random_fill(parameters, count, 2);
    for (size_t index = 0; index < count; index++)
        parameters[index] *= 0.3f;
    pass *pass = network_pass(f.network, n);
    backward_of(&f, pass, n, parameters, gradients);
    CHECK(f.ready_count == f.graph.unit_count, "%d units ready", f.ready_count);
    for (int index = 0; index < f.ready_count; index++)
        CHECK(f.ready[index] == f.graph.unit_count - 1 - index, "unit %d came as number %d",
              f.ready[index], index);
    for (int unit = 0; unit < f.graph.unit_count; unit++) {
        const graph_layer *layer = layer_of(&f, unit);
        size_t size = layer->weight_count + layer->bias_count;
        const float *gradient = gradients + layer->first_weight;
        double norm = 0, step = 2e-3;
        for (size_t index = 0; index < size; index++)
            norm += (double)gradient[index] * (double)gradient[index];
        norm = sqrt(norm);
        double losses[2];
        for (int side = 0; side < 2; side++) {
            memcpy(moved, parameters, count * sizeof(float));
            for (size_t index = 0; index < size; index++)
                moved[layer->first_weight + index] +=
                    (float)((side ? step : -step) * (double)gradient[index] / norm);
            losses[side] = loss_of(&f, pass, n, moved);
        }
        double slope = (losses[1] - losses[0]) / (2 * step);
        CHECK(fabs(slope - norm) < 0.01 * norm, "%s: slope %g, gradient's length %g", layer->name,
              slope, norm);
    }
    free(parameters);
    free(moved);
    free(gradients);
    close_fixture(&f);
}

/* The device against ref, gradient for gradient. */
static void check_against_ref(const char *device_name, int n) {
    float *results[2];
    const char *names[] = {"ref", device_name};
    size_t count = 0;
    for (int which = 0; which < 2; which++) {
        static fixture f;
        memset(&f, 0, sizeof f);
        build_residual(&f.graph);
        open_fixture(&f, names[which], &n, 1);
        count = f.graph.parameter_count;
        float *parameters = malloc(count * sizeof(float));
        random_fill(parameters, count, 2);
        results[which] = malloc(count * sizeof(float));
        backward_of(&f, network_pass(f.network, n), n, parameters, results[which]);
        free(parameters);
        close_fixture(&f);
    }
    double largest = 0, worst = 0;
    for (size_t index = 0; index < count; index++) {
        largest = fmax(largest, fabs((double)results[0][index]));
        worst = fmax(worst, fabs((double)results[0][index] - (double)results[1][index]));
    }
    CHECK(largest > 0.1 && worst < 1e-4 * largest, "differs by %g of %g", worst, largest);
    free(results[0]);
    free(results[1]);
}

static void check_empty(const char *device_name) {
    static fixture f;
    memset(&f, 0, sizeof f);
    ls_error error = {0};
    build_residual(&f.graph);
    open_fixture(&f, device_name, (int[]){3, 0}, 2);
    size_t count = f.graph.parameter_count;
    float *values = malloc(count * sizeof(float));
    random_fill(values, count, 9);
    put(&f, f.gradients, values, count);
    MUST(network_forward(f.network, network_pass(f.network, 0), f.stream, &f.hooks, &error));
    MUST(network_backward(f.network, network_pass(f.network, 0), f.stream, &f.hooks, &error));
    get(&f, values, f.gradients, count);
    size_t left = 0;
    for (size_t index = 0; index < count; index++)
        left += values[index] != 0;
    CHECK(left == 0, "%zu gradients are not zero", left);
    CHECK(f.ready_count == f.graph.unit_count, "%d units ready", f.ready_count);
    free(values);
    close_fixture(&f);
}

/* The lines of a library's reference, and none of the device that is called so. */
static void check_references(const char *device_name) {
    static fixture f;
    char all[4096], slow[4096];
    memset(&f, 0, sizeof f);
    build_residual(&f.graph);
    open_fixture(&f, device_name, (int[]){3}, 1);
    network_describe(f.network, all, sizeof all);
    size_t length = network_describe_references(f.network, slow, sizeof slow);
    CHECK((strstr(all, " ref:any") != NULL) == (length > 0), "'%s' of '%s'", slow, all);
    CHECK(length == strlen(slow), "%zu of '%s'", length, slow);
    close_fixture(&f);
}

/* Equal plans by another version of the library, or on another kind of processor, are others. */
static void check_plan_id(const char *device_name) {
    static fixture f;
    char ids[3][17];
    memset(&f, 0, sizeof f);
    build_residual(&f.graph);
    open_fixture(&f, device_name, (int[]){3}, 1);
    network_plan_id(f.network, ids[0]);
    network_plan_id(f.network, ids[1]);
    strcat(f.device->facts.library, ".1");
    network_plan_id(f.network, ids[2]);
    CHECK(strcmp(ids[0], ids[1]) == 0 && strcmp(ids[0], ids[2]) != 0, "%s %s %s", ids[0], ids[1],
          ids[2]);
    close_fixture(&f);
}

static void check_arena(void) {
    for (int trial = 0; trial < 200; trial++) {
        arena_buffer buffers[24];
        uint32_t block[4];
        size_t largest_alive = 0;
        for (int index = 0; index < 24; index++) {
            random_block(5, RANDOM_SYNTHETIC, (uint64_t)trial, (uint64_t)index, block);
            buffers[index].bytes = block[0] % 5000;
            buffers[index].first = (int)(block[1] % 30);
            buffers[index].last = buffers[index].first + (int)(block[2] % 10);
        }
        size_t total = arena_plan(buffers, 24);
        for (int moment = 0; moment < 40; moment++) {
            size_t alive = 0;
            for (int index = 0; index < 24; index++)
                if (buffers[index].first <= moment && moment <= buffers[index].last)
                    alive += (buffers[index].bytes + 255) & ~(size_t)255;
            largest_alive = alive > largest_alive ? alive : largest_alive;
        }
        CHECK(total >= largest_alive && total < 2 * largest_alive + 1, "%zu for %zu", total,
              largest_alive);
        for (int a = 0; a < 24; a++)
            for (int b = 0; b < a; b++) {
                bool live =
                    buffers[a].first <= buffers[b].last && buffers[b].first <= buffers[a].last;
                bool share = buffers[a].offset < buffers[b].offset + buffers[b].bytes &&
                             buffers[b].offset < buffers[a].offset + buffers[a].bytes;
                CHECK(!(live && share), "buffers %d and %d share memory", a, b);
            }
    }
}

static void check_model(void) {
    static graph g;
    ls_error error = {0};
    CHECK(model_build("cnn", 32, 32, 3, 10, &g, &error) == LS_OK, "%s", error.text);
    CHECK(g.parameter_count == 4275594, "%zu parameters", g.parameter_count);
    CHECK(model_build("cnn", 2, 2, 3, 10, &g, &error) == LS_BAD_INPUT, "%s", error.text);
    error.code = LS_OK;
    CHECK(model_build("none", 32, 32, 3, 10, &g, &error) == LS_BAD_INPUT, "%s", error.text);
}

int main(int argc, char **argv) {
    const char *device_name = argc > 1 ? argv[1] : "ref";
    setvbuf(stdout, NULL, _IOLBF, 0);
    check_arena();
    check_case("buffers that live together share no memory");
    check_model();
    check_case("the CNN has 4,275,594 parameters; a model that does not fit is refused");
    check_gradients(device_name, 2);
    check_gradients(device_name, 7);
    check_case("gradients of a residual network against finite differences");
    check_against_ref(device_name, 3);
    check_case("gradients of a residual network against ref");
    check_references(device_name);
    check_case("plans that are a library's reference are told");
    check_plan_id(device_name);
    check_case("a plan's id holds the library's version");
    check_empty(device_name);
    check_case("an empty batch has zero gradients and joins in");
    return check_done();
}
