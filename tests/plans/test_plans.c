/* Every convolution that the program can ask cuDNN for gets execution plans for an A100 and an
 * H200, with no GPU in the machine: cuDNN plans for a device-property descriptor ("Deviceless
 * Ahead-of-time Compilation" in its documentation) as it does for a device. The graphs and the
 * choice of engines are the device's own code (cuda/conv_graph.c, conv_engine.c).
 *
 * What this shows: cuDNN accepts each graph, has deterministic engines for it in the precision
 * asked for, and how much workspace they take. What it cannot show: that they run, their numbers,
 * their speed. Engines that cuDNN compiles when they are built need a driver, and half a second and
 * more each: they are left out, and with them the form of the 16 bit graphs whose bias or dw is
 * fp32 (conv_graph.h); the form shown is the one that the program tries first.
 *
 * usage: test_plans NAME.json...   for these GPUs
 *        test_plans this-gpu       for GPU 0 of this machine, whose descriptor is printed too, to
 *                                  be compared with the files; skipped where there is none
 */
#include "../../cuda/conv_engine.h"
#include "../unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The device tries as many (cuda/conv_choose.c). */
enum { MOST_BUILT = 16 };

typedef struct named_shape {
    const char *name;
    conv2d_shape shape;
} named_shape;

#define SHAPE(batch, size, in, out, window, step, pad, with_relu, with_dx)                         \
    {                                                                                              \
        .n = batch, .height = size, .width = size, .in_channels = in, .out_channels = out,         \
        .kernel = window, .stride = step, .padding = pad, .relu = with_relu, .need_dx = with_dx    \
    }
#define CNN(batch)                                                                                 \
    {"cnn conv1 n=" #batch, SHAPE(batch, 32, 3, 64, 3, 1, 1, true, false)}, {                      \
        "cnn conv2 n=" #batch, SHAPE(batch, 16, 64, 128, 3, 1, 1, true, true)                      \
    }

static const named_shape shapes[] = {
    CNN(64),
    CNN(512),
    CNN(4096),
    CNN(13), /* the ragged last batch of a rank */
    {"resnet 7x7/2 3-64", SHAPE(64, 224, 3, 64, 7, 2, 3, false, false)},
    {"resnet 3x3 64-64", SHAPE(64, 56, 64, 64, 3, 1, 1, false, true)},
    {"resnet 3x3/2 64-128", SHAPE(64, 56, 64, 128, 3, 2, 1, false, true)},
    {"resnet 1x1/2 64-128", SHAPE(64, 56, 64, 128, 1, 2, 0, false, true)},
    {"resnet 3x3 512-512", SHAPE(64, 7, 512, 512, 3, 1, 1, false, true)},
};

static int read_properties(const char *path, cudnnBackendDescriptor_t *out) {
    static char text[8192];
    ls_error error = {0};
    FILE *file = fopen(path, "r");
    size_t length = file ? fread(text, 1, sizeof text - 1, file) : 0;
    text[length] = '\0';
    if (file)
        fclose(file);
    descriptor_builder builder = descriptor_begin(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, path);
    descriptor_set(&builder, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR,
                   (int64_t)length, text);
    if (descriptor_finish(&builder, out, &error) == LS_OK)
        return 0;
    CHECK(0, "%s", error.text);
    return 1;
}

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

static void build_plans(const conv_graph *graph, const conv_target *target, plans_found *out) {
    static conv_engine_list list;
    conv_engines_find(graph, target, &list);
    out->offered = list.count;
    out->refused = list.refused;
    for (int index = 0; index < list.count && out->tried < MOST_BUILT; index++) {
        conv_execution execution;
        ls_error ignored = {0};
        if (list.engines[index].runtime_compiled) {
            out->compiled++;
            continue;
        }
        out->tried++;
        if (conv_execution_build(graph, target, &list.engines[index], &execution, &ignored) !=
            LS_OK)
            continue;
        int64_t bytes = execution.workspace_bytes;
        out->first_bytes = out->built ? out->first_bytes : bytes;
        out->least_bytes = !out->built || bytes < out->least_bytes ? bytes : out->least_bytes;
        out->most_bytes = bytes > out->most_bytes ? bytes : out->most_bytes;
        out->tensor_cores += list.engines[index].tensor_cores;
        out->built++;
        conv_execution_destroy(&execution);
    }
}

static void check_direction(const char *gpu, const named_shape *named, const conv2d_shape *shape,
                            const char *precision_text, conv_direction direction,
                            const conv_target *target) {
    ls_error error = {0};
    conv_graph *graph;
    dtype types[2];
    conv_parameter_types(shape, direction, types);
    if (conv_graph_create(shape, direction, types[0], NULL, &graph, &error) != LS_OK) {
        CHECK(0, "%s %s: %s", named->name, conv_direction_name(direction), error.text);
        return;
    }
    /* The real library reads a pack too; nothing is done with the addresses. */
    static const char memory[CONV_ALIGNMENT * CONV_MAX_TENSORS]
        __attribute__((aligned(CONV_ALIGNMENT)));
    const void *addresses[CONV_MAX_TENSORS];
    cudnnBackendDescriptor_t pack;
    for (int index = 0; index < CONV_MAX_TENSORS; index++)
        addresses[index] = &memory[CONV_ALIGNMENT * index];
    CHECK(conv_pack_build(graph, addresses, NULL, &pack, &error) == LS_OK, "%s", error.text);
    descriptor_destroy(&pack);
    plans_found found = {0};
    build_plans(graph, target, &found);
    conv_graph_destroy(graph);
    printf("# %-6s %-21s %-4s %-8s %3d of %3d built, %2d tensor-core; %4d offered, %2d passed "
           "over, %2d refused; "
           "workspace MiB: first %.2f, %.2f to %.2f\n",
           gpu, named->name, precision_text, conv_direction_name(direction), found.built,
           found.tried, found.tensor_cores, found.offered, found.compiled, found.refused,
           (double)found.first_bytes / 1048576, (double)found.least_bytes / 1048576,
           (double)found.most_bytes / 1048576);
    CHECK(found.built > 0, "%s: no plan for %s %s %s", gpu, named->name, precision_text,
          conv_direction_name(direction));
    CHECK(found.least_bytes <= CONV_MOST_WORKSPACE_BYTES, "%s: too much workspace for %s", gpu,
          named->name);
    bool exact = shape->type == DTYPE_F32 && !shape->tf32;
    CHECK(!exact || found.tensor_cores == 0, "%s: fp32 by tensor cores for %s", gpu, named->name);
    CHECK(exact || found.tensor_cores > 0, "%s: no tensor cores for %s %s %s", gpu, named->name,
          precision_text, conv_direction_name(direction));
}

static void check_shape(const char *gpu, const named_shape *named, precision wanted,
                        const conv_target *target) {
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

/* "tests/plans/h200.json" -> "h200" */
static void gpu_name(const char *path, char name[32]) {
    const char *slash = strrchr(path, '/');
    snprintf(name, 32, "%s", slash ? slash + 1 : path);
    char *dot = strchr(name, '.');
    if (dot)
        *dot = '\0';
}

/* False: skipped. */
static bool check_gpu(const char *argument) {
    char gpu[32];
    conv_target target = {NULL};
    gpu_name(argument, gpu);
    if (strcmp(argument, "this-gpu") == 0) {
        if (!describe_this_gpu(&target.properties))
            return false;
    } else if (read_properties(argument, &target.properties)) {
        check_case(gpu);
        return true;
    }
    for (size_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++)
        for (int wanted = 0; wanted < PRECISION_COUNT; wanted++)
            check_shape(gpu, &shapes[shape], (precision)wanted, &target);
    descriptor_destroy(&target.properties);
    return true;
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("# cuDNN %zu; the first %d compiled engines of each graph are built\n",
           cudnnGetVersion(), MOST_BUILT);
    for (int index = 1; index < count; index++)
        if (!check_gpu(arguments[index])) {
            printf("1..0 # SKIP no GPU that cuDNN can describe\n");
            return 0;
        }
    return check_done();
}
