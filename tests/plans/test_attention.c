/* Attention's graphs (cuda/dnn/attention_graph.h) get execution plans for an A100 and an H200, with
 * no GPU in the machine and no driver: no_driver.c stands for its library. cuDNN compiles these
 * engines while it builds a plan.
 *
 * What this shows: cuDNN recognises each graph of a vision transformer as fused attention, has
 * tensor-core engines for it, and how much workspace they take: forward's does not grow with the
 * tokens, backward's is the 16 bit gradients of the scores, tokens rounded up (attention.h). What
 * it cannot show: that they run, their numbers, their speed.
 *
 * usage: test_attention [--every] NAME.json...   for these GPUs; --every: each engine that is
 *                                                offered, not the first alone */
#include "../unit/check.h"
#include "cuda/dnn/attention_graph.h"
#include "cuda/dnn/dnn_engine.h"
#include "gpu_properties.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

/* Tokens and heads of vit-b16 and vit-s16 at 224 px, of vit-ti8 at 32 px, and of a head of 128. */
static const attention_shape shapes[] = {
    {.n = 32, .tokens = 197, .heads = 12, .head_dim = 64},
    {.n = 8, .tokens = 197, .heads = 6, .head_dim = 64},
    {.n = 64, .tokens = 17, .heads = 3, .head_dim = 64},
    {.n = 2, .tokens = 256, .heads = 4, .head_dim = 128},
};

/* At the most: a row and a column of tiles of 128 are read beyond the tokens. */
static int64_t scores_bytes(const attention_shape *shape) {
    int64_t tokens = (shape->tokens + 127) / 128 * 128;
    return (int64_t)shape->n * shape->heads * tokens * tokens * 2;
}

static int build_plans(const dnn_graph *graph, const dnn_target *target, bool every,
                       int64_t *most_bytes, dnn_engine_list *list) {
    int built = 0;
    *most_bytes = 0;
    dnn_engines_find(graph, target, list);
    for (int index = 0; index < list->count && (every || built < 1); index++) {
        dnn_execution execution;
        ls_error error = {0};
        if (dnn_execution_build(graph, target, &list->engines[index], &execution, &error) !=
            LS_OK) {
            printf("# %s\n", error.text);
            continue;
        }
        if (execution.workspace_bytes > *most_bytes)
            *most_bytes = execution.workspace_bytes;
        CHECK(list->engines[index].tensor_cores, "engine %d without tensor cores", index);
        dnn_execution_destroy(&execution);
        built++;
    }
    return built;
}

static void check_direction(const char *gpu, const attention_shape *shape,
                            attention_direction direction, const dnn_target *target, bool every) {
    static dnn_engine_list list;
    attention_problem problem;
    dnn_graph *graph;
    ls_error error = {0};
    int64_t bytes;
    if (attention_problem_init(shape, direction, &problem, &error) != LS_OK ||
        dnn_problem_graph(&problem.base, shape->type, NULL, &graph, &error) != LS_OK) {
        CHECK(0, "%s", error.text);
        return;
    }
    int built = build_plans(graph, target, every, &bytes, &list);
    dnn_graph_destroy(graph);
    printf("# %s %s: %d built of %d offered, workspace %.2f MiB, of scores %.2f\n", gpu,
           problem.base.key, built, list.count, (double)bytes / 1048576,
           (double)scores_bytes(shape) / 1048576);
    CHECK(built > 0, "no plan %s", list.refusal.text);
    CHECK(direction == ATTENTION_BACKWARD || bytes <= 1 << 16, "forward takes %lld bytes",
          (long long)bytes);
    CHECK(direction == ATTENTION_FORWARD || bytes <= scores_bytes(shape) + (1 << 20),
          "backward takes %lld bytes", (long long)bytes);
}

static void check_gpu(const char *path, bool every) {
    static const dtype types[] = {DTYPE_BF16, DTYPE_F16};
    char gpu[32], name[128];
    dnn_target target = {NULL};
    ls_error error = {0};
    gpu_name(path, gpu);
    if (gpu_properties_read(path, &target.properties, &error) != LS_OK) {
        CHECK(0, "%s", error.text);
        check_case(gpu);
        return;
    }
    for (size_t index = 0; index < sizeof shapes / sizeof *shapes; index++)
        for (int type = 0; type < (every || index == 0 ? 2 : 1); type++) {
            attention_shape shape = shapes[index];
            shape.type = types[type];
            for (int direction = 0; direction < ATTENTION_DIRECTIONS; direction++)
                check_direction(gpu, &shape, (attention_direction)direction, &target, every);
            snprintf(name, sizeof name, "%s attention [%d, %d, %d, %d] %s", gpu, shape.n,
                     shape.tokens, shape.heads, shape.head_dim, dtype_name(shape.type));
            check_case(name);
        }
    descriptor_destroy(&target.properties);
}

int main(int count, char **arguments) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (!dlopen("libcuda.so.1", RTLD_NOW)) {
        printf("1..0 # SKIP no library of that name: %s\n", dlerror());
        return 0;
    }
    bool every = count > 1 && strcmp(arguments[1], "--every") == 0;
    for (int index = 1 + every; index < count; index++)
        check_gpu(arguments[index], every);
    return check_done();
}
