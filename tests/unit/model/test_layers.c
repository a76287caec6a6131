/* What a layer's op is handed, seen by an op of the test's own on a copy of the ref device: any
 * number of parameters and buffers, each in its place in the flat arrays, and whether a backward
 * follows. */
#include "../check.h"
#include "device/kinds/linear.h"
#include "model/layer.h"
#include "model/layers.h"
#include "model/network.h"

#include <stdlib.h>
#include <string.h>

static ls_error error;
#define MUST(call) CHECK((call) == LS_OK, "%s", error.text)

/* --- the op: y = x * first + second * mean, elementwise over [n, width]; training adds 1 to the
 * buffer `steps` and puts x's first value into `mean`. */
enum { WIDTH = 5, BATCH = 2 };
static const op_kind op_scale = {"scale"};

static int scale_prepare(plan *self, const void *shape, const plan *like, ls_error *error) {
    (void)shape, (void)like, (void)error;
    text_add(&self->description, "test");
    return LS_OK;
}

static int scale_forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)self, (void)error;
    const float *x = a->x[0];
    float *y = a->y;
    if (a->training) {
        a->buffers[0][0] = x[0];
        a->buffers[1][0] += 1;
    }
    for (int i = 0; i < BATCH * WIDTH; i++)
        y[i] = x[i] * a->parameters[0][i % WIDTH] + a->parameters[1][0] * a->buffers[0][0];
    return LS_OK;
}

static int scale_backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    (void)self, (void)error;
    for (int i = 0; i < WIDTH; i++)
        a->gradients[0][i] = 10 + (float)i;
    a->gradients[1][0] = a->training ? 20 : -1;
    return LS_OK;
}

static int scale_backward_inputs(plan *self, const op_arguments *a, ls_error *error) {
    (void)self, (void)error;
    memcpy(a->dx[0], a->dy, BATCH * WIDTH * sizeof(float));
    return LS_OK;
}

static const op scale_op = {.kind = &op_scale,
                            .plan_bytes = sizeof(plan),
                            .prepare = scale_prepare,
                            .forward = scale_forward,
                            .backward_parameters = scale_backward_parameters,
                            .backward_inputs = scale_backward_inputs};

/* --- its layer: records in the order parameter, buffer, buffer, parameter */
static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    return op_prepare(to->device, &op_scale, NULL, to->like, out, error);
}

static const layer_interface layer_scale = {
    .kind = "scale", .prepare = prepare, .work = work_of_elements};

static int add_scale(graph *g, const char *name, int input) {
    graph_layer *layer = graph_begin_layer(g, &layer_scale, name, &input, 1, 0);
    if (!layer)
        return 0;
    graph_initialiser half = {INITIALISE_CONSTANT, 0.5f}, seven = {INITIALISE_CONSTANT, 7};
    graph_give(g, layer,
               &(graph_parameter){.name = "weight",
                                  .dims = {WIDTH},
                                  .dim_count = 1,
                                  .initialiser = half,
                                  .trained = true});
    graph_give(
        g, layer,
        &(graph_parameter){.name = "mean", .dims = {1}, .dim_count = 1, .initialiser = seven});
    graph_give(g, layer, &(graph_parameter){.name = "steps", .dims = {1}, .dim_count = 1});
    graph_give(
        g, layer,
        &(graph_parameter){
            .name = "bias", .dims = {1}, .dim_count = 1, .initialiser = half, .trained = true});
    return graph_end_layer(g, layer, vector_of(WIDTH));
}

static graph model;
static float parameters[128], gradients[128], buffers[4];

static int hook_parameters(void *context, int unit, const float **out, ls_error *error) {
    (void)context, (void)error;
    *out = parameters + model.units[unit].first;
    return LS_OK;
}

static int hook_gradient(void *context, int unit, float **out, ls_error *error) {
    (void)context, (void)error;
    *out = gradients + model.units[unit].first;
    return LS_OK;
}

static int hook_buffers(void *context, float **out, ls_error *error) {
    (void)context, (void)error;
    *out = buffers;
    return LS_OK;
}

static const network_hooks hooks = {
    .parameters = hook_parameters, .gradient = hook_gradient, .buffers = hook_buffers};

static void build(void) {
    int x = graph_input(&model, 1, 1, 3);
    x = graph_linear(&model, "first", x, WIDTH, ACTIVATION_NONE);
    x = add_scale(&model, "one", x);
    x = add_scale(&model, "two", x);
    MUST(graph_finish(&model, x, &error));
    CHECK(model.record_count == 10 && model.unit_count == 3, "%d records, %d units",
          model.record_count, model.unit_count);
    CHECK(model.parameter_count == 3 * WIDTH + WIDTH + 2 * (WIDTH + 1), "%zu parameters",
          model.parameter_count);
    CHECK(model.buffer_count == 4, "%zu buffers", model.buffer_count);
    CHECK(model.units[2].first + model.units[2].count == model.parameter_count, "the last unit");
    const graph_parameter *bias = &model.parameters[9], *steps = &model.parameters[8];
    CHECK(strcmp(bias->name, "two.bias") == 0 && bias->number == 1 && bias->unit == 2, "%s",
          bias->name);
    CHECK(strcmp(steps->name, "two.steps") == 0 && steps->number == 1 && steps->unit == -1 &&
              steps->first == 3,
          "%s", steps->name);
    check_case("records of a layer with two parameters and two buffers");
}

static void initialise(void) {
    network_initialise(&model, 3, parameters);
    network_initialise_buffers(&model, 3, buffers);
    CHECK(buffers[0] == 7 && buffers[1] == 0 && buffers[2] == 7 && buffers[3] == 0, "buffers");
    for (size_t i = model.units[1].first; i < model.parameter_count; i++)
        CHECK(parameters[i] == 0.5f, "parameter %zu is %g", i, (double)parameters[i]);
    check_case("constants");
}

static network *make(device *device) {
    network *made = NULL;
    MUST(network_create(&model, device, PRECISION_FP32, &made, &error));
    MUST(network_prepare(made, BATCH, &error));
    MUST(network_seal(made, &error));
    return made;
}

/* What `two` gives for what lies in its input and buffers. */
static void run(network *net, bool training) {
    pass *pass = network_pass(net, BATCH);
    float *x = pass_input(pass);
    for (int i = 0; i < BATCH * 3; i++)
        x[i] = 1 + (float)i;
    MUST(network_forward(net, pass, training, NULL, &hooks, &error));
}

static void evaluate_and_train(network *net) {
    float before[4];
    memcpy(before, buffers, sizeof before);
    run(net, false);
    CHECK(memcmp(before, buffers, sizeof before) == 0, "evaluation moved a buffer");
    check_case("an evaluation leaves buffers alone");
    run(net, true);
    CHECK(buffers[1] == 1 && buffers[3] == 1, "counted %g and %g", (double)buffers[1],
          (double)buffers[3]);
    CHECK(buffers[0] != 7 && buffers[2] != 7, "the means stayed");
    const float *y = pass_logits(network_pass(net, BATCH));
    /* Of "two", whose input began with its buffer's value. */
    CHECK(y[0] == buffers[2] * 0.5f + 0.5f * buffers[2], "y is %g", (double)y[0]);
    check_case("training moves each layer's own");
}

static void backward(network *net) {
    pass *pass = network_pass(net, BATCH);
    memset(pass_logits_gradient(pass), 0, BATCH * WIDTH * sizeof(float));
    MUST(network_backward(net, pass, NULL, &hooks, &error));
    for (int unit = 1; unit < 3; unit++) {
        const float *at = gradients + model.units[unit].first;
        for (int i = 0; i < WIDTH; i++)
            CHECK(at[i] == 10 + (float)i, "unit %d: %g", unit, (double)at[i]);
        CHECK(at[WIDTH] == 20, "unit %d: %g", unit, (double)at[WIDTH]);
    }
    check_case("gradients of each parameter stand in their place");
}

static void ranges(network *net) {
    parameter_range found[16];
    int count = network_ranges(net, found);
    CHECK(count == 6, "%d ranges", count);
    size_t end = 0;
    for (int index = 0; index < count; index++) {
        const graph_parameter *of = &model.parameters[found[index].parameter];
        CHECK(of->trained && of->first == found[index].first && of->count == found[index].count,
              "%s", of->name);
        CHECK(found[index].first == end, "%s begins at %zu", of->name, found[index].first);
        end += found[index].count;
    }
    CHECK(end == model.parameter_count, "the ranges end at %zu", end);
    check_case("a range a trained record");
}

int main(void) {
    device *ref;
    device_request request = {.local_size = 1, .threads = 1};
    MUST(device_open("ref", &request, &ref, &error));
    const op *kinds[16] = {&scale_op};
    for (int kind = 0; ref->is->kinds[kind]; kind++)
        kinds[kind + 1] = ref->is->kinds[kind];
    device_interface with = *ref->is;
    with.kinds = kinds;
    ref->is = &with;
    build();
    initialise();
    network *net = make(ref);
    evaluate_and_train(net);
    backward(net);
    ranges(net);
    network_destroy(net);
    graph_release(&model);
    device_close(ref);
    return check_done();
}
