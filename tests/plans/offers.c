/* What can be known of the CNN's engines without a GPU: which one cuDNN's heuristic names first for
 * each shape of a run, of those that it brings compiled and that build, and the workspace of its
 * plan. These lines are what cuda/choices/shipped.txt has where no time is known.
 *
 * usage: offers GPU=NAME.json...           prints the lines; cuDNN names the GPU nowhere
 *        offers --check GPU=NAME.json...   as a test: the file has these lines, or times in their
 *                                          place, and choosing by it is quick
 */
#include "../unit/check.h"
#include "base/clock.h"
#include "cuda/choices/choices.h"
#include "cuda/choices/choices_file.h"
#include "cuda/dnn/conv_graph.h"
#include "cuda/dnn/dnn_engine.h"
#include "gpu_properties.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Batches of a rank: of CIFAR-10 at 64 images a rank and 1, 2, 4 and 8 ranks (full, and the last of
 * training and of the test), and of 64 images over 2 to 8. The first ALL_PRECISIONS have lines of
 * every precision, the others of bf16. */
static const int batches[] = {64, 16, 40, 8, 20, 4, 42, 34, 32, 2};
enum { BATCHES = sizeof batches / sizeof batches[0], ALL_PRECISIONS = 2 };

/* The most that choosing may take, of all sizes of one run. */
static const double MOST_SECONDS = 3;

/* conv1 with its 3 channels, and padded to 8, as it is in 16 bits; conv2. */
static const conv2d_shape layers[] = {{.height = 32,
                                       .width = 32,
                                       .in_channels = 3,
                                       .out_channels = 64,
                                       .kernel = 3,
                                       .stride = 1,
                                       .padding = 1,
                                       .activation = ACTIVATION_RELU},
                                      {.height = 32,
                                       .width = 32,
                                       .in_channels = 8,
                                       .out_channels = 64,
                                       .kernel = 3,
                                       .stride = 1,
                                       .padding = 1,
                                       .activation = ACTIVATION_RELU},
                                      {.height = 16,
                                       .width = 16,
                                       .in_channels = 64,
                                       .out_channels = 128,
                                       .kernel = 3,
                                       .stride = 1,
                                       .padding = 1,
                                       .activation = ACTIVATION_RELU,
                                       .need_dx = true}};
enum { LAYERS = sizeof layers / sizeof layers[0] };

typedef struct gpu_at_hand {
    char name[CHOICE_GPU_BYTES];
    dnn_target target;
} gpu_at_hand;

/* One direction of one layer. */
typedef int (*visit)(const gpu_at_hand *gpu, const dnn_problem *problem, void *context,
                     ls_error *error);

static int visit_directions(const gpu_at_hand *gpu, const conv2d_shape *shape, visit what,
                            void *context, ls_error *error) {
    for (int direction = 0; direction < CONV_DIRECTIONS; direction++) {
        conv_problem problem;
        if (direction == CONV_BACKWARD_DATA && !shape->need_dx)
            continue;
        LS_TRY(conv_problem_init(shape, (conv_direction)direction, &problem, error));
        LS_TRY(what(gpu, &problem.base, context, error));
    }
    return LS_OK;
}

static int visit_batch(const gpu_at_hand *gpu, int batch, precision wanted, visit what,
                       void *context, ls_error *error) {
    for (int layer = 0; layer < LAYERS; layer++) {
        conv2d_shape shape = layers[layer];
        bool narrow = precision_type(wanted) != DTYPE_F32;
        if (shape.in_channels == (narrow ? 3 : 8))
            continue;
        shape.n = batch;
        shape.type = precision_type(wanted);
        shape.tf32 = wanted == PRECISION_TF32;
        LS_TRY(visit_directions(gpu, &shape, what, context, error));
    }
    return LS_OK;
}

/* The first that is brought compiled and builds; *passed: before it, compiled at run time. */
static bool first_offer(const gpu_at_hand *gpu, const dnn_graph *graph, dnn_engine *out,
                        int64_t *bytes, int *passed) {
    static dnn_engine_list list;
    dnn_engines_find(graph, &gpu->target, &list);
    *passed = 0;
    for (int index = 0; index < list.count; index++) {
        dnn_execution execution;
        ls_error ignored = {0};
        *out = list.engines[index];
        if (out->runtime_compiled) {
            ++*passed;
            continue;
        }
        if (dnn_execution_build(graph, &gpu->target, out, &execution, &ignored) != LS_OK)
            continue;
        *bytes = execution.workspace_bytes;
        dnn_execution_destroy(&execution);
        return true;
    }
    return false;
}

static int offer(const gpu_at_hand *gpu, const dnn_problem *problem, choice_line *out,
                 ls_error *error) {
    dnn_choice choice = {.form = problem->forms[0]};
    dnn_graph *graph;
    int64_t bytes;
    int passed;
    LS_TRY(dnn_problem_graph(problem, choice.form, NULL, &graph, error));
    bool found = first_offer(gpu, graph, &choice.engine, &bytes, &passed);
    dnn_graph_destroy(graph);
    if (!found)
        return ls_fail(error, LS_FAILED, "%s: no compiled engine builds", problem->key);
    *out = (choice_line){.library = CHOICE_CUDNN, .version = cudnnGetVersion()};
    snprintf(out->gpu, sizeof out->gpu, "%s", gpu->name);
    snprintf(out->key, sizeof out->key, "%s", problem->key);
    dnn_choice_write(&choice, out->text);
    snprintf(out->measure, sizeof out->measure, "offer, %lld bytes%s", (long long)bytes,
             passed ? ", behind run-time compiled" : "");
    return LS_OK;
}

static int print_offer(const gpu_at_hand *gpu, const dnn_problem *problem, void *context,
                       ls_error *error) {
    choice_line line;
    char text[CHOICE_LINE_BYTES];
    (void)context;
    LS_TRY(offer(gpu, problem, &line, error));
    choice_line_write(&line, text);
    fputs(text, stdout);
    return LS_OK;
}

/* The file has the line, or a time in its place. */
static int compare_offer(const gpu_at_hand *gpu, const dnn_problem *problem, void *context,
                         ls_error *error) {
    const choices *shipped = context;
    choice_line line;
    choice found;
    if (choices_find(shipped, CHOICE_CUDNN, problem->key, &found))
        return LS_OK;
    LS_TRY(offer(gpu, problem, &line, error));
    bool there = choices_find_offer(shipped, CHOICE_CUDNN, problem->key, &found);
    CHECK(there && strcmp(found.text, line.text) == 0, "%s, %s: %s offered, %s in shipped.txt",
          gpu->name, problem->key, line.text, there ? found.text : "nothing");
    return LS_OK;
}

/* As the program does it where the file has a line: the plan of that engine, and no heuristic. */
static int choose_by_file(const gpu_at_hand *gpu, const dnn_problem *problem, void *context,
                          ls_error *error) {
    const choices *shipped = context;
    choice found;
    dnn_choice read;
    dnn_graph *graph;
    dnn_execution execution;
    if (!(choices_find(shipped, CHOICE_CUDNN, problem->key, &found) ||
          choices_find_offer(shipped, CHOICE_CUDNN, problem->key, &found)) ||
        !dnn_choice_read(found.text, &read))
        return ls_fail(error, LS_FAILED, "%s: no line", problem->key);
    LS_TRY(dnn_problem_graph(problem, read.form, NULL, &graph, error));
    int status = dnn_execution_build(graph, &gpu->target, &read.engine, &execution, error);
    if (status == LS_OK)
        dnn_execution_destroy(&execution);
    dnn_graph_destroy(graph);
    return status;
}

static int visit_all(const gpu_at_hand *gpu, visit what, void *context, ls_error *error) {
    for (int batch = 0; batch < BATCHES; batch++)
        for (int wanted = 0; wanted < PRECISION_COUNT; wanted++)
            if (wanted == PRECISION_BF16 || batch < ALL_PRECISIONS)
                LS_TRY(visit_batch(gpu, batches[batch], (precision)wanted, what, context, error));
    return LS_OK;
}

static int visit_bf16(const gpu_at_hand *gpu, visit what, void *context, ls_error *error) {
    for (int batch = 0; batch < BATCHES; batch++)
        LS_TRY(visit_batch(gpu, batches[batch], PRECISION_BF16, what, context, error));
    return LS_OK;
}

static int check_offers(const gpu_at_hand *gpu, ls_error *error) {
    size_t versions[CHOICE_LIBRARIES] = {[CHOICE_CUDNN] = cudnnGetVersion()};
    choices *shipped;
    char name[CHOICE_GPU_BYTES + 64];
    LS_TRY(choices_create(gpu->name, versions, choices_shipped, "", &shipped, error));
    double began = clock_seconds();
    int status = visit_bf16(gpu, choose_by_file, shipped, error);
    double took = clock_seconds() - began;
    printf("# %s: plans of all %d sizes by the file: %.2f s\n", gpu->name, (int)BATCHES, took);
    CHECK(status != LS_OK || took <= MOST_SECONDS, "%g s", took);
    if (status == LS_OK)
        status = visit_all(gpu, compare_offer, shipped, error);
    choices_destroy(shipped);
    snprintf(name, sizeof name, "%s: shipped.txt has what is offered first", gpu->name);
    CHECK(status == LS_OK, "%s", error->text);
    check_case(name);
    return LS_OK;
}

static int open_gpu(const char *argument, gpu_at_hand *out, ls_error *error) {
    const char *file = strchr(argument, '=');
    if (!file)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected GPU=FILE", argument);
    snprintf(out->name, sizeof out->name, "%.*s", (int)(file - argument), argument);
    return gpu_properties_read(file + 1, &out->target.properties, error);
}

/* The lines are of one version. */
static bool has_version(void) {
    char version[64];
    snprintf(version, sizeof version, "\tcuDNN %zu\t", cudnnGetVersion());
    return strstr(choices_shipped, version) != NULL;
}

int main(int count, char **arguments) {
    bool checks = count > 1 && strcmp(arguments[1], "--check") == 0;
    if (checks && !has_version()) {
        printf("1..0 # SKIP shipped.txt has nothing for cuDNN %zu\n", cudnnGetVersion());
        return 0;
    }
    for (int index = 1 + checks; index < count; index++) {
        gpu_at_hand gpu = {.target = {NULL}};
        ls_error error = {0};
        int status = open_gpu(arguments[index], &gpu, &error);
        if (status == LS_OK)
            status =
                checks ? check_offers(&gpu, &error) : visit_all(&gpu, print_offer, NULL, &error);
        descriptor_destroy(&gpu.target.properties);
        if (status != LS_OK) {
            fprintf(stderr, "offers: %s\n", error.text);
            return 1;
        }
    }
    return checks ? check_done() : 0;
}
