/* The network: gradients of whole graphs by finite differences and against ref, plans as texts and
 * ids, parameters in slots, empty batches. usage: test_network DEVICE */
#include "../../support/packed_memory.h"
#include "../check.h"
#include "base/random.h"
#include "model/layers.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct fixture {
    graph graph;
    device *device;
    device_stream *stream;
    network *network;
    packed_memory packed;
    float *parameters, *gradients, *buffers; /* device memory; buffers: NULL without any */
    int ready[64], ready_count;
    network_hooks hooks;
} fixture;

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
    x = graph_conv2d(g, "stem", x, 16, 3, 1, 1, ACTIVATION_RELU);
    x = graph_maxpool2d(g, "pool", x, 2, 2, 0);
    int y = graph_conv2d(g, "body1", x, 16, 3, 1, 1, ACTIVATION_RELU);
    y = graph_conv2d(g, "body2", y, 16, 3, 1, 1, ACTIVATION_NONE);
    x = graph_join(g, "join", x, y, ACTIVATION_RELU);
    x = graph_conv2d(g, "tail", x, 16, 1, 1, 0, ACTIVATION_RELU);
    x = graph_linear(g, "head", x, 4, ACTIVATION_NONE);
    MUST(graph_finish(g, x, &error));
}

/* 8x8x3 -> a stem as ResNet's, pooled by windows that overlap -> a block whose norm joins and one
 * that halves the image, so that what it joins has a norm without a ReLU -> the mean -> linear. */
static void build_normed(graph *g) {
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

static void open_fixture(fixture *f, const char *device_name, const int *sizes, int size_count) {
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

static void close_fixture(fixture *f) {
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
    MUST(network_forward(f->network, pass, true, f->stream, &f->hooks, &error));
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
static void check_gradients(const char *device_name, void (*build)(graph *g), int n) {
    static fixture f;
    memset(&f, 0, sizeof f);
    build(&f.graph);
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
        size_t size = unit_of(&f, unit)->count, first = unit_of(&f, unit)->first;
        const float *gradient = gradients + first;
        double norm = 0, step = 2e-3;
        for (size_t index = 0; index < size; index++)
            norm += (double)gradient[index] * (double)gradient[index];
        norm = sqrt(norm);
        double losses[2];
        for (int side = 0; side < 2; side++) {
            memcpy(moved, parameters, count * sizeof(float));
            for (size_t index = 0; index < size; index++)
                moved[first + index] +=
                    (float)((side ? step : -step) * (double)gradient[index] / norm);
            losses[side] = loss_of(&f, pass, n, moved);
        }
        double slope = (losses[1] - losses[0]) / (2 * step);
        CHECK(fabs(slope - norm) < 0.01 * norm, "%s: slope %g, gradient's length %g",
              graph_unit_layer(&f.graph, unit)->name, slope, norm);
    }
    free(parameters);
    free(moved);
    free(gradients);
    close_fixture(&f);
}

/* A training step's gradients, then its running statistics and the logits of an evaluation with
 * these; `out` is the caller's. */
static size_t step_of(const char *device_name, void (*build)(graph *g), int n, float **out) {
    static fixture f;
    memset(&f, 0, sizeof f);
    ls_error error = {0};
    build(&f.graph);
    open_fixture(&f, device_name, &n, 1);
    size_t parameters = f.graph.parameter_count, buffers = f.graph.buffer_count;
    size_t count = parameters + buffers + (size_t)n * 4;
    float *values = malloc(count * sizeof(float));
    *out = malloc(count * sizeof(float));
    if (buffers > 0) {
        network_initialise_buffers(&f.graph, 1, values);
        put(&f, f.buffers, values, buffers);
    }
    random_fill(values, parameters, 2);
    pass *pass = network_pass(f.network, n);
    backward_of(&f, pass, n, values, *out);
    if (buffers > 0)
        get(&f, *out + parameters, f.buffers, buffers);
    fill_input(&f, pass, n);
    MUST(network_forward(f.network, pass, false, f.stream, &f.hooks, &error));
    get(&f, *out + parameters + buffers, pass_logits(pass), (size_t)n * 4);
    free(values);
    close_fixture(&f);
    return count;
}

/* The device against ref, number for number. */
static void check_against_ref(const char *device_name, void (*build)(graph *g), int n) {
    float *results[2];
    double largest = 0, worst = 0;
    size_t count = step_of("ref", build, n, &results[0]);
    step_of(device_name, build, n, &results[1]);
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
    MUST(network_forward(f.network, network_pass(f.network, 0), true, f.stream, &f.hooks, &error));
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

/* ---- parameters that are in a few slots only, as a sharded mode has them */

enum { AHEAD = 2, SLOTS = AHEAD + 1 };

typedef struct slots {
    fixture *of;
    float *memory[SLOTS]; /* device memory, each of the largest unit's size */
    int unit[SLOTS];      /* -1: free */
    int asked;            /* calls of hook_slot */
    int late, full; /* units that were asked for before they were fetched; fetched into none */
} slots;

static int slot_of(const slots *self, int unit) {
    int slot = 0;
    while (slot < SLOTS && self->unit[slot] != unit)
        slot++;
    return slot;
}

static int hook_prefetch(void *context, int unit, ls_error *error) {
    slots *self = context;
    const fixture *f = self->of;
    const graph_unit *block = unit_of(f, unit);
    int slot = slot_of(self, -1);
    if (slot == SLOTS) {
        self->full++;
        return LS_OK;
    }
    self->unit[slot] = unit;
    return f->device->is->copy(f->device, f->stream, self->memory[slot],
                               f->parameters + block->first, block->count * sizeof(float),
                               COPY_ON_DEVICE, error);
}

static int hook_slot(void *context, int unit, const float **out, ls_error *error) {
    slots *self = context;
    bool begins = self->asked++ % self->of->graph.unit_count == 0; /* a walk: nobody could fetch */
    if (slot_of(self, unit) == SLOTS) {
        self->late += !begins;
        LS_TRY(hook_prefetch(self, unit, error));
    }
    *out = self->memory[slot_of(self, unit) % SLOTS];
    return LS_OK;
}

static int hook_released(void *context, int unit, ls_error *error) {
    slots *self = context;
    (void)error;
    self->unit[slot_of(self, unit)] = -1;
    return LS_OK;
}

static int slot_gradient(void *context, int unit, float **out, ls_error *error) {
    return hook_gradient(((slots *)context)->of, unit, out, error);
}

static int slot_ready(void *context, int unit, ls_error *error) {
    return hook_ready(((slots *)context)->of, unit, error);
}

static void run_step(fixture *f, const network_hooks *hooks, float *gradients) {
    ls_error error = {0};
    pass *pass = network_pass(f->network, 3);
    size_t count = graph_tensor_elements(&f->graph.tensors[0]) * 3;
    float *input = malloc(count * sizeof *input);
    random_fill(input, count, 3);
    put(f, pass_input(pass), input, count);
    MUST(network_forward(f->network, pass, true, f->stream, hooks, &error));
    random_fill(input, 12, 4);
    put(f, pass_logits_gradient(pass), input, 12);
    MUST(network_backward(f->network, pass, f->stream, hooks, &error));
    get(f, gradients, f->gradients, f->graph.parameter_count);
    free(input);
}

static void check_slots(const char *device_name) {
    static fixture f;
    memset(&f, 0, sizeof f);
    ls_error error = {0};
    build_residual(&f.graph);
    open_fixture(&f, device_name, (int[]){3, 0}, 2);
    size_t count = f.graph.parameter_count;
    float *whole = malloc(count * sizeof(float)), *sharded = malloc(count * sizeof(float));
    random_fill(whole, count, 9);
    put(&f, f.parameters, whole, count);
    MUST(network_pack(f.network, f.stream, f.parameters, &error));
    run_step(&f, &f.hooks, whole);
    slots self = {.of = &f};
    for (int slot = 0; slot < SLOTS; slot++) {
        self.unit[slot] = -1;
        MUST(f.device->is->allocate(f.device, count * sizeof(float), "a slot",
                                    (void **)&self.memory[slot], &error));
    }
    network_hooks hooks = {.context = &self,
                           .parameters = hook_slot,
                           .released = hook_released,
                           .prefetch = hook_prefetch,
                           .prefetch_units = AHEAD,
                           .gradient = slot_gradient,
                           .gradient_ready = slot_ready};
    f.ready_count = 0;
    run_step(&f, &hooks, sharded);
    CHECK(memcmp(whole, sharded, count * sizeof(float)) == 0, "other gradients");
    /* A rank without a sample fetches as the others do. */
    pass *empty = network_pass(f.network, 0);
    MUST(network_forward(f.network, empty, true, f.stream, &hooks, &error));
    f.ready_count = 0;
    MUST(network_backward(f.network, empty, f.stream, &hooks, &error));
    CHECK(self.late == 0, "%d units were asked for before they were fetched", self.late);
    CHECK(self.full == 0, "%d units found no slot", self.full);
    for (int slot = 0; slot < SLOTS; slot++) {
        CHECK(self.unit[slot] == -1, "slot %d was not given back", slot);
        f.device->is->release(f.device, self.memory[slot]);
    }
    free(whole), free(sharded);
    close_fixture(&f);
}

/* The lines of a library's reference, and none of the device that is called so. */
static void check_references(const char *device_name) {
    static fixture f;
    text_buffer all = {0}, slow = {0};
    memset(&f, 0, sizeof f);
    build_residual(&f.graph);
    open_fixture(&f, device_name, (int[]){3}, 1);
    network_describe(f.network, &all);
    network_describe_references(f.network, &slow);
    bool named =
        strstr(all.bytes, " ref:any") || strstr(all.bytes, ":ref\n") || strstr(all.bytes, ":ref /");
    CHECK(named == (slow.length > 0), "'%s' of '%s'", slow.bytes ? slow.bytes : "", all.bytes);
    text_free(&all), text_free(&slow);
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

int main(int argc, char **argv) {
    const char *device_name = argc > 1 ? argv[1] : "ref";
    setvbuf(stdout, NULL, _IOLBF, 0);
    check_gradients(device_name, build_residual, 2);
    check_gradients(device_name, build_residual, 7);
    check_case("gradients of a residual network against finite differences");
    check_against_ref(device_name, build_residual, 3);
    check_case("gradients of a residual network against ref");
    check_gradients(device_name, build_normed, 7);
    check_case("gradients of one with norms against finite differences");
    check_against_ref(device_name, build_normed, 3);
    check_case("its gradients, running statistics and evaluation against ref");
    check_references(device_name);
    check_case("plans that are a library's reference are told");
    check_plan_id(device_name);
    check_case("a plan's id holds the library's version");
    check_slots(device_name);
    check_case("parameters in slots, fetched ahead of their use");
    check_empty(device_name);
    check_case("an empty batch has zero gradients and joins in");
    return check_done();
}
