/* Every convolution that the program can ask cuDNN for gets execution plans for an A100 and an
 * H200, with no GPU in the machine: cuDNN plans for a device-property descriptor ("Deviceless
 * Ahead-of-time Compilation" in its documentation) as it does for a device. The graphs and the
 * choice of engines are the device's own code (cuda/dnn/conv_graph.c, dnn_engine.c).
 *
 * What this shows: cuDNN accepts each graph, has deterministic engines for it in the precision
 * asked for, and how much workspace they take. What it cannot show: that they run, their numbers,
 * their speed. Engines that cuDNN compiles when they are built need a driver, and half a second and
 * more each: they are left out, and with them the form of the 16 bit graphs whose bias or dw is
 * fp32 (conv_graph.h); the form shown is the one that the program tries first.
 *
 * usage: test_plans [--every] NAME.json...   for these GPUs; --every: resnet50's shapes too
 *        test_plans this-gpu       for GPU 0 of this machine, whose descriptor is printed too, to
 *                                  be compared with the files; skipped where there is none
 */
#include "../unit/check.h"
#include "cuda/dnn/conv_graph.h"
#include "cuda/dnn/dnn_engine.h"
#include "gpu_properties.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The device tries as many (cuda/dnn/dnn_choose.c). */
enum { MOST_BUILT = 16 };

typedef struct named_shape {
    const char *name;
    conv2d_shape shape;
} named_shape;

#define SHAPE(batch, size, in, out, window, step, pad, with_relu, with_dx)                         \
    {                                                                                              \
        .n = batch, .height = size, .width = size, .in_channels = in, .out_channels = out,         \
        .kernel = window, .stride = step, .padding = pad,                                          \
        .activation = (with_relu) ? ACTIVATION_RELU : ACTIVATION_NONE, .need_dx = with_dx          \
    }
/* Without a bias. */
#define BARE(batch, size, in, out, window, step, pad, with_dx)                                     \
    {                                                                                              \
        .n = batch, .height = size, .width = size, .in_channels = in, .out_channels = out,         \
        .kernel = window, .stride = step, .padding = pad, .need_dx = with_dx, .no_bias = true      \
    }
#define CNN(batch)                                                                                 \
    {"cnn conv1 n=" #batch, SHAPE(batch, 32, 3, 64, 3, 1, 1, true, false)}, {                      \
        "cnn conv2 n=" #batch, SHAPE(batch, 16, 64, 128, 3, 1, 1, true, true)                      \
    }

#define PADDED "cnn conv1 of 8"

static const named_shape cnn[] = {
    CNN(64),
    CNN(512),
    CNN(4096),
    CNN(13), /* the ragged last batch of a rank */
    /* As the device asks for it in 16 bits: conv.h. */
    {PADDED " n=64", SHAPE(64, 32, 8, 64, 3, 1, 1, true, false)},
    {PADDED " n=16", SHAPE(16, 32, 8, 64, 3, 1, 1, true, false)},
};

/* The convolutions of resnet18 and resnet34 at 224 x 224, each once. conv1 has 3 channels in fp32,
 * and in 16 bits 8. */
static const named_shape resnet18[] = {
    {"resnet 7x7/2 3-64", BARE(64, 224, 3, 64, 7, 2, 3, false)},
    {"resnet 7x7/2 8-64", BARE(64, 224, 8, 64, 7, 2, 3, false)},
    {"resnet 3x3 64-64", BARE(64, 56, 64, 64, 3, 1, 1, true)},
    {"resnet 3x3/2 64-128", BARE(64, 56, 64, 128, 3, 2, 1, true)},
    {"resnet 1x1/2 64-128", BARE(64, 56, 64, 128, 1, 2, 0, true)},
    {"resnet 3x3 128-128", BARE(64, 28, 128, 128, 3, 1, 1, true)},
    {"resnet 3x3/2 128-256", BARE(64, 28, 128, 256, 3, 2, 1, true)},
    {"resnet 1x1/2 128-256", BARE(64, 28, 128, 256, 1, 2, 0, true)},
    {"resnet 3x3 256-256", BARE(64, 14, 256, 256, 3, 1, 1, true)},
    {"resnet 3x3/2 256-512", BARE(64, 14, 256, 512, 3, 2, 1, true)},
    {"resnet 1x1/2 256-512", BARE(64, 14, 256, 512, 1, 2, 0, true)},
    {"resnet 3x3 512-512", BARE(64, 7, 512, 512, 3, 1, 1, true)},
};

/* Those of resnet50 that resnet18 has not. */
static const named_shape resnet50[] = {
    {"resnet 1x1 64-64", BARE(64, 56, 64, 64, 1, 1, 0, true)},
    {"resnet 1x1 64-256", BARE(64, 56, 64, 256, 1, 1, 0, true)},
    {"resnet 1x1 256-64", BARE(64, 56, 256, 64, 1, 1, 0, true)},
    {"resnet 1x1 256-128", BARE(64, 56, 256, 128, 1, 1, 0, true)},
    {"resnet 3x3/2 128-128", BARE(64, 56, 128, 128, 3, 2, 1, true)},
    {"resnet 1x1 128-512", BARE(64, 28, 128, 512, 1, 1, 0, true)},
    {"resnet 1x1/2 256-512", BARE(64, 56, 256, 512, 1, 2, 0, true)},
    {"resnet 1x1 512-128", BARE(64, 28, 512, 128, 1, 1, 0, true)},
    {"resnet 1x1 512-256", BARE(64, 28, 512, 256, 1, 1, 0, true)},
    {"resnet 3x3/2 256-256", BARE(64, 28, 256, 256, 3, 2, 1, true)},
    {"resnet 1x1 256-1024", BARE(64, 14, 256, 1024, 1, 1, 0, true)},
    {"resnet 1x1/2 512-1024", BARE(64, 28, 512, 1024, 1, 2, 0, true)},
    {"resnet 1x1 1024-256", BARE(64, 14, 1024, 256, 1, 1, 0, true)},
    {"resnet 1x1 1024-512", BARE(64, 14, 1024, 512, 1, 1, 0, true)},
    {"resnet 3x3/2 512-512", BARE(64, 14, 512, 512, 3, 2, 1, true)},
    {"resnet 1x1 512-2048", BARE(64, 7, 512, 2048, 1, 1, 0, true)},
    {"resnet 1x1/2 1024-2048", BARE(64, 14, 1024, 2048, 1, 2, 0, true)},
    {"resnet 1x1 2048-512", BARE(64, 7, 2048, 512, 1, 1, 0, true)},
};

/* cuDNN's own description of GPU 0. False: there is none, or no driver. */
static bool describe_this_gpu(cudnnBackendDescriptor_t *out) {
    static char text[8192];
    int64_t length = 0;
    int32_t ordinal = 0;
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, "GPU 0");
    descriptor_set(&builder, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32, 1, &ordinal);
    if (descriptor_finish_quietly(&builder, out) != CUDNN_STATUS_SUCCESS)
        return false;
    if (cudnnBackendGetAttribute(*out, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                                 sizeof text - 1, &length, text) == CUDNN_STATUS_SUCCESS)
        for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
            printf("# this GPU: %s\n", line);
    return true;
}

/* What was built of what is offered for one graph. */
typedef struct plans_found {
    int offered, refused, compiled /* passed over: at run time */, tried, built, tensor_cores;
    int64_t first_bytes, least_bytes, most_bytes; /* workspace */
} plans_found;

static void build_plans(const dnn_graph *graph, const dnn_target *target, plans_found *out) {
    static dnn_engine_list list;
    dnn_engines_find(graph, target, &list);
    out->offered = list.count;
    out->refused = list.refused;
    for (int index = 0; index < list.count && out->tried < MOST_BUILT; index++) {
        dnn_execution execution;
        ls_error ignored = {0};
        if (list.engines[index].runtime_compiled) {
            out->compiled++;
            continue;
        }
        out->tried++;
        if (dnn_execution_build(graph, target, &list.engines[index], &execution, &ignored) != LS_OK)
            continue;
        int64_t bytes = execution.workspace_bytes;
        out->first_bytes = out->built ? out->first_bytes : bytes;
        out->least_bytes = !out->built || bytes < out->least_bytes ? bytes : out->least_bytes;
        out->most_bytes = bytes > out->most_bytes ? bytes : out->most_bytes;
        out->tensor_cores += list.engines[index].tensor_cores;
        out->built++;
        dnn_execution_destroy(&execution);
    }
}

static void check_direction(const char *gpu, const named_shape *named, const conv2d_shape *shape,
                            const char *precision_text, conv_direction direction,
                            const dnn_target *target) {
    ls_error error = {0};
    conv_problem problem;
    dnn_graph *graph;
    if (conv_problem_init(shape, direction, &problem, &error) != LS_OK ||
        dnn_problem_graph(&problem.base, problem.base.forms[0], NULL, &graph, &error) != LS_OK) {
        CHECK(0, "%s %s: %s", named->name, conv_direction_name(direction), error.text);
        return;
    }
    /* The real library reads a pack too; nothing is done with the addresses. */
    static const char memory[DNN_ALIGNMENT * DNN_MOST_ADDRESSES]
        __attribute__((aligned(DNN_ALIGNMENT)));
    const void *addresses[DNN_MOST_ADDRESSES];
    cudnnBackendDescriptor_t pack;
    for (int index = 0; index < DNN_MOST_ADDRESSES; index++)
        addresses[index] = &memory[DNN_ALIGNMENT * index];
    CHECK(dnn_pack_build(graph, addresses, NULL, &pack, &error) == LS_OK, "%s", error.text);
    descriptor_destroy(&pack);
    plans_found found = {0};
    build_plans(graph, target, &found);
    dnn_graph_destroy(graph);
    printf("# %-6s %-21s %-4s %-8s %3d of %3d built, %2d tensor-core; %4d offered, %2d passed "
           "over, %2d refused; "
           "workspace MiB: first %.2f, %.2f to %.2f\n",
           gpu, named->name, precision_text, conv_direction_name(direction), found.built,
           found.tried, found.tensor_cores, found.offered, found.compiled, found.refused,
           (double)found.first_bytes / 1048576, (double)found.least_bytes / 1048576,
           (double)found.most_bytes / 1048576);
    CHECK(found.built > 0, "%s: no plan for %s %s %s", gpu, named->name, precision_text,
          conv_direction_name(direction));
    CHECK(found.least_bytes <= DNN_MOST_WORKSPACE_BYTES, "%s: too much workspace for %s", gpu,
          named->name);
    bool nothing_padded = strncmp(named->name, PADDED, strlen(PADDED)) == 0 &&
                          shape->type != DTYPE_F32 && direction == CONV_FORWARD;
    CHECK(!nothing_padded || (found.least_bytes == 0 && found.first_bytes == 0),
          "%s: %s takes %lld bytes of workspace", gpu, named->name, (long long)found.first_bytes);
    bool exact = shape->type == DTYPE_F32 && !shape->tf32;
    CHECK(!exact || found.tensor_cores == 0, "%s: fp32 by tensor cores for %s", gpu, named->name);
    CHECK(exact || found.tensor_cores > 0, "%s: no tensor cores for %s %s %s", gpu, named->name,
          precision_text, conv_direction_name(direction));
}

static void check_shape(const char *gpu, const named_shape *named, precision wanted,
                        const dnn_target *target) {
    char name[128];
    conv2d_shape shape = named->shape;
    shape.type = precision_type(wanted);
    shape.tf32 = wanted == PRECISION_TF32;
    for (int direction = 0; direction < CONV_DIRECTIONS; direction++)
        if (shape.need_dx || direction != CONV_BACKWARD_DATA)
            check_direction(gpu, named, &shape, precision_name(wanted), (conv_direction)direction,
                            target);
    snprintf(name, sizeof name, "%s %s %s", gpu, named->name, precision_name(wanted));
    check_case(name);
}

/* An input of 3 channels lies as one of 8 in 16 bits, and only there (the CNN's is tried both
 * ways).
 */
static bool is_of(const named_shape *named, precision wanted, const named_shape *shapes) {
    bool narrow = precision_type(wanted) != DTYPE_F32;
    return shapes == cnn || named->shape.in_channels != (narrow ? 3 : 8);
}

static void check_shapes(const char *gpu, const named_shape *shapes, size_t count,
                         const dnn_target *target) {
    for (size_t shape = 0; shape < count; shape++)
        for (int wanted = 0; wanted < PRECISION_COUNT; wanted++)
            if (is_of(&shapes[shape], (precision)wanted, shapes))
                check_shape(gpu, &shapes[shape], (precision)wanted, target);
}

/* False: skipped. */
static bool check_gpu(const char *argument, bool every) {
    char gpu[32];
    dnn_target target = {NULL};
    ls_error error = {0};
    gpu_name(argument, gpu);
    if (strcmp(argument, "this-gpu") == 0) {
        if (!describe_this_gpu(&target.properties))
            return false;
    } else if (gpu_properties_read(argument, &target.properties, &error) != LS_OK) {
        CHECK(0, "%s", error.text);
        check_case(gpu);
        return true;
    }
    check_shapes(gpu, cnn, sizeof cnn / sizeof *cnn, &target);
    check_shapes(gpu, resnet18, sizeof resnet18 / sizeof *resnet18, &target);
    if (every)
        check_shapes(gpu, resnet50, sizeof resnet50 / sizeof *resnet50, &target);
    descriptor_destroy(&target.properties);
    return true;
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("# cuDNN %zu; the first %d compiled engines of each graph are built\n",
           cudnnGetVersion(), MOST_BUILT);
    bool every = count > 1 && strcmp(arguments[1], "--every") == 0;
    for (int index = every ? 2 : 1; index < count; index++)
        if (!check_gpu(arguments[index], every)) {
            printf("1..0 # SKIP no GPU that cuDNN can describe\n");
            return 0;
        }
    return check_done();
}
