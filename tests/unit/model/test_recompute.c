/* What backward computes again instead of keeping it: the same bits of logits, gradients and
 * running statistics, for less memory. */
#include "../check.h"
#include "model/layers.h"
#include "model/network.h"

#include <stdlib.h>
#include <string.h>

static ls_error error;
#define MUST(call) CHECK((call) == LS_OK, "%s", error.text)

enum { BATCH = 3, WAYS = 3 };
static const recompute ways[WAYS] = {RECOMPUTE_NONE, RECOMPUTE_CHEAP, RECOMPUTE_BLOCK};
static const char *const names[WAYS] = {"none", "cheap", "block"};

static device *at;
static graph model;
static float *parameters, *gradients, *buffers;

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

/* --- models */

static int token_block(graph *g, int x, int number) {
    static const char *const parts[2][6] = {{"a1", "a2", "a3", "a4", "a5", "a6"},
                                            {"b1", "b2", "b3", "b4", "b5", "b6"}};
    const char *const *name = parts[number];
    graph_begin_block(g);
    int y = graph_layernorm(g, name[0], x, 1e-6);
    y = graph_linear(g, name[1], y, 48, ACTIVATION_NONE);
    y = graph_attention(g, name[2], y, 2);
    x = graph_join(g, name[3], x, y, ACTIVATION_NONE);
    y = graph_linear(g, name[4], x, 64, ACTIVATION_GELU);
    y = graph_linear(g, name[5], y, 16, ACTIVATION_NONE);
    x = graph_join(g, number ? "b7" : "a7", x, y, ACTIVATION_NONE);
    graph_end_block(g);
    return x;
}

static void build_tokens(void) {
    int x = graph_input(&model, 8, 8, 3);
    x = graph_patches(&model, "patches", x, 4);
    x = graph_patch_linear(&model, "proj", x, 16, 4);
    x = graph_embedding(&model, "embedding", x);
    x = token_block(&model, token_block(&model, x, 0), 1);
    x = graph_tokenpool(&model, "pool", x, false);
    x = graph_layernorm(&model, "norm", x, 1e-6);
    x = graph_linear(&model, "head", x, 10, ACTIVATION_NONE);
    MUST(graph_finish(&model, x, &error));
}

static int image_block(graph *g, int x, int number) {
    graph_begin_block(g);
    int y = graph_conv2d_unbiased(g, number ? "d1" : "c1", x, 16, 3, 1, 1);
    y = graph_batchnorm2d(g, number ? "d2" : "c2", y, -1, ACTIVATION_RELU);
    y = graph_conv2d_unbiased(g, number ? "d3" : "c3", y, 16, 3, 1, 1);
    y = graph_batchnorm2d(g, number ? "d4" : "c4", y, x, ACTIVATION_RELU);
    graph_end_block(g);
    return y;
}

static void build_images(void) {
    int x = graph_input(&model, 8, 8, 3);
    x = graph_conv2d_unbiased(&model, "stem", x, 16, 3, 1, 1);
    x = graph_batchnorm2d(&model, "norm", x, -1, ACTIVATION_RELU);
    x = image_block(&model, image_block(&model, x, 0), 1);
    x = graph_avgpool2d(&model, "pool", x);
    x = graph_linear(&model, "head", x, 10, ACTIVATION_NONE);
    MUST(graph_finish(&model, x, &error));
}

/* --- a step of each */

static network *make(recompute way) {
    network *made = NULL;
    MUST(network_create(&model, at, PRECISION_FP32, &made, &error));
    network_recompute(made, way);
    MUST(network_prepare(made, BATCH, &error));
    return made;
}

static void place_packed(network *net, void **memory) {
    for (int record = 0; record < model.record_count; record++) {
        size_t bytes = network_packed_bytes(net, record);
        memory[record] = NULL;
        if (bytes > 0)
            MUST(at->is->allocate(at, bytes, "packed", &memory[record], &error));
        network_place_packed(net, record, memory[record]);
    }
}

static void drop_packed(void **memory) {
    for (int record = 0; record < model.record_count; record++)
        if (memory[record])
            at->is->release(at, memory[record]);
}

static void fill(float *out, size_t count, unsigned seed) {
    for (size_t i = 0; i < count; i++) {
        seed = seed * 1664525 + 1013904223;
        out[i] = (float)(seed >> 8) / (float)(1 << 23) - 1;
    }
}

/* Two steps: logits of the second, gradients, buffers into out. */
static void step(network *net, float *out) {
    pass *pass = network_pass(net, BATCH);
    size_t logits = BATCH * 10;
    network_initialise_buffers(&model, 3, buffers);
    for (unsigned number = 0; number < 2; number++) {
        fill(pass_input(pass), BATCH * network_input_elements(net), 7 + number);
        MUST(network_forward(net, pass, true, NULL, &hooks, &error));
        memcpy(out, pass_logits(pass), logits * sizeof *out);
        fill(pass_logits_gradient(pass), logits, 17 + number);
        memset(gradients, 0, model.parameter_count * sizeof *gradients);
        MUST(network_backward(net, pass, NULL, &hooks, &error));
    }
    memcpy(out + logits, gradients, model.parameter_count * sizeof *out);
    memcpy(out + logits + model.parameter_count, buffers, model.buffer_count * sizeof *out);
}

static void compare(const char *what, void (*build)(void)) {
    model = (graph){0};
    build();
    size_t count = BATCH * 10 + model.parameter_count + model.buffer_count;
    size_t bytes[WAYS];
    float *found[WAYS];
    void *packed[model.record_count + 1];
    parameters = calloc(model.parameter_count, sizeof *parameters);
    gradients = calloc(model.parameter_count, sizeof *gradients);
    buffers = calloc(model.buffer_count + 1, sizeof *buffers);
    network_initialise(&model, 3, parameters);
    for (int way = 0; way < WAYS; way++) {
        network *net = make(ways[way]);
        found[way] = calloc(count, sizeof **found);
        place_packed(net, packed);
        MUST(network_seal(net, &error));
        MUST(network_pack(net, NULL, parameters, &error));
        step(net, found[way]);
        bytes[way] = network_arena_bytes(net);
        CHECK(memcmp(found[way], found[0], count * sizeof **found) == 0, "%s, %s: other bits", what,
              names[way]);
        network_destroy(net);
        drop_packed(packed);
    }
    double norm = 0;
    for (size_t i = 0; i < count; i++)
        norm += (double)found[0][i] * (double)found[0][i];
    CHECK(norm > 0 && norm < 1e12, "%s: a step of norm %g", what, norm);
    CHECK(bytes[2] < bytes[0] && bytes[1] <= bytes[0], "%s: %zu, %zu, %zu bytes", what, bytes[0],
          bytes[1], bytes[2]);
    for (int way = 0; way < WAYS; way++)
        free(found[way]);
    free(parameters), free(gradients), free(buffers);
    graph_release(&model);
    check_case(what);
}

/* Of what is kept for backward, a block's inputs and one block's inside are left. Plans alone: no
 * memory is taken. */
static void measure(const char *name, int side, double most_cheap, double most_block) {
    double bytes[WAYS];
    MUST(model_build(name, side, side, 3, 10, &model, &error));
    for (int way = 0; way < WAYS; way++) {
        network *net = make(ways[way]);
        bytes[way] = (double)(network_arena_bytes(net) - network_workspace_bytes(net));
        network_destroy(net);
    }
    graph_release(&model);
    CHECK(bytes[1] <= most_cheap * bytes[0], "%s: cheap %.3f of %.0f bytes", name,
          bytes[1] / bytes[0], bytes[0]);
    CHECK(bytes[2] <= most_block * bytes[0], "%s: block %.3f of %.0f bytes", name,
          bytes[2] / bytes[0], bytes[0]);
    check_case(name);
}

int main(int argc, char **argv) {
    device_request request = {.local_size = 1, .threads = 1};
    MUST(device_open(argc > 1 ? argv[1] : "cpu", &request, &at, &error));
    compare("tokens", build_tokens);
    compare("images", build_images);
    if (strcmp(at->is->name, "cpu") == 0) {
        measure("vit-s16", 224, 0.7, 0.2);
        measure("vit-b16", 224, 0.7, 0.2);
        measure("resnet18", 224, 1, 0.65);
    }
    device_close(at);
    return check_done();
}
