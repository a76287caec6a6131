/* A graph that is no convolution, made by a client that is this file: a batch norm in training,
 * with running statistics and scalars. cuDNN takes it for an A100 and an H200 that are not in this
 * machine; how many engines it offers is printed and not demanded, for what it offers without a GPU
 * is its own affair (here: none). What the builder refuses is shown too.
 *
 * usage: test_graphs NAME.json... */
#include "../unit/check.h"
#include "cuda/dnn/dnn_engine.h"
#include "cuda/dnn/dnn_problem.h"
#include "gpu_properties.h"

#include <string.h>

enum {
    NORM_X,
    NORM_SCALE,
    NORM_BIAS,
    NORM_MEAN_BEFORE,
    NORM_VARIANCE_BEFORE,
    NORM_Y,
    NORM_MEAN,
    NORM_INVERSE,
    NORM_MEAN_AFTER,
    NORM_VARIANCE_AFTER,
    NORM_SLOTS
};

typedef struct norm_problem {
    dnn_problem base;
    int n, channels, size;
} norm_problem;

/* [n, size, size, channels], or what there is one of a channel. */
static int add_norm_tensor(const norm_problem *self, dnn_graph *graph, int slot, bool whole,
                           cudnnBackendDescriptor_t *out, ls_error *error) {
    dnn_tensor tensor = {.name = "of a norm",
                         .kind = slot < NORM_Y ? DNN_INPUT : DNN_OUTPUT,
                         .slot = slot,
                         .type = whole ? self->base.sums.type : DTYPE_F32,
                         .stored = whole ? self->base.sums.type : DTYPE_F32,
                         .staged = !whole};
    if (whole)
        dnn_tensor_lies_channels_last(&tensor, self->n, self->channels, self->size, self->size);
    else
        dnn_tensor_lies_channels_last(&tensor, 1, self->channels, 1, 1);
    return dnn_graph_add_tensor(graph, &tensor, out, error);
}

static int add_scalar(dnn_graph *graph, float value, cudnnBackendDescriptor_t *out,
                      ls_error *error) {
    dnn_tensor scalar = {.name = "a scalar", .kind = DNN_SCALAR, .type = DTYPE_F32, .value = value};
    dnn_tensor_lies_channels_last(&scalar, 1, 1, 1, 1);
    return dnn_graph_add_tensor(graph, &scalar, out, error);
}

static int build_norm(const dnn_problem *base, dtype form, dnn_graph *graph, ls_error *error) {
    static const cudnnBackendAttributeName_t names[NORM_SLOTS] = {
        [NORM_X] = CUDNN_ATTR_OPERATION_NORM_FWD_XDESC,
        [NORM_SCALE] = CUDNN_ATTR_OPERATION_NORM_FWD_SCALE_DESC,
        [NORM_BIAS] = CUDNN_ATTR_OPERATION_NORM_FWD_BIAS_DESC,
        [NORM_MEAN_BEFORE] = CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_MEAN_DESC,
        [NORM_VARIANCE_BEFORE] = CUDNN_ATTR_OPERATION_NORM_FWD_INPUT_RUNNING_VAR_DESC,
        [NORM_Y] = CUDNN_ATTR_OPERATION_NORM_FWD_YDESC,
        [NORM_MEAN] = CUDNN_ATTR_OPERATION_NORM_FWD_MEAN_DESC,
        [NORM_INVERSE] = CUDNN_ATTR_OPERATION_NORM_FWD_INV_VARIANCE_DESC,
        [NORM_MEAN_AFTER] = CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_MEAN_DESC,
        [NORM_VARIANCE_AFTER] = CUDNN_ATTR_OPERATION_NORM_FWD_OUTPUT_RUNNING_VAR_DESC};
    (void)form;
    cudnnBackendDescriptor_t tensors[NORM_SLOTS], epsilon, momentum;
    for (int slot = 0; slot < NORM_SLOTS; slot++)
        LS_TRY(add_norm_tensor((const norm_problem *)base, graph, slot,
                               slot == NORM_X || slot == NORM_Y, &tensors[slot], error));
    LS_TRY(add_scalar(graph, 1e-5f, &epsilon, error));
    LS_TRY(add_scalar(graph, 0.1f, &momentum, error));
    cudnnBackendNormMode_t mode = CUDNN_BATCH_NORM;
    cudnnBackendNormFwdPhase_t phase = CUDNN_NORM_FWD_TRAINING;
    descriptor_builder builder =
        descriptor_begin(CUDNN_BACKEND_OPERATION_NORM_FORWARD_DESCRIPTOR, "a batch norm");
    descriptor_set(&builder, CUDNN_ATTR_OPERATION_NORM_FWD_MODE, CUDNN_TYPE_NORM_MODE, 1, &mode);
    descriptor_set(&builder, CUDNN_ATTR_OPERATION_NORM_FWD_PHASE, CUDNN_TYPE_NORM_FWD_PHASE, 1,
                   &phase);
    for (int slot = 0; slot < NORM_SLOTS; slot++)
        descriptor_set_descriptor(&builder, names[slot], tensors[slot]);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_NORM_FWD_EPSILON_DESC, epsilon);
    descriptor_set_descriptor(&builder, CUDNN_ATTR_OPERATION_NORM_FWD_EXP_AVG_FACTOR_DESC,
                              momentum);
    return dnn_graph_add_operation(graph, &builder, error);
}

static norm_problem norm_of(dtype type) {
    norm_problem self = {.base = {.what = "batch norm",
                                  .name = "norm",
                                  .sums = {.type = type},
                                  .forms = {type},
                                  .form_count = 1,
                                  .build = build_norm},
                         .n = 64,
                         .channels = 64,
                         .size = 56};
    ls_error error = {0};
    CHECK(dnn_problem_set_key(&self.base, &error, "norm n%d c%d h%d w%d %s", self.n, self.channels,
                              self.size, self.size, dtype_name(type)) == LS_OK,
          "%s", error.text);
    return self;
}

static void test_norm(const char *gpu, const dnn_target *target, dtype type) {
    static const char memory[DNN_ALIGNMENT * DNN_MOST_ADDRESSES]
        __attribute__((aligned(DNN_ALIGNMENT)));
    static dnn_engine_list list;
    norm_problem problem = norm_of(type);
    ls_error error = {0};
    dnn_graph *graph;
    char name[160];
    snprintf(name, sizeof name, "%s %s", gpu, problem.base.key);
    if (dnn_problem_graph(&problem.base, type, NULL, &graph, &error) != LS_OK) {
        CHECK(0, "%s", error.text);
        check_case(name);
        return;
    }
    dnn_engines_find(graph, target, &list);
    printf("# %s: %d engines offered, %d refused %s\n", name, list.count, list.refused,
           list.refusal.text);
    CHECK(list.refusal.code == 0, "%s", list.refusal.text);
    const void *addresses[DNN_MOST_ADDRESSES];
    cudnnBackendDescriptor_t pack;
    for (int index = 0; index < graph->tensor_count; index++)
        addresses[index] = &memory[DNN_ALIGNMENT * index];
    CHECK(graph->tensor_count == NORM_SLOTS + 2, "%d tensors", graph->tensor_count);
    CHECK(dnn_pack_build(graph, addresses, NULL, &pack, &error) == LS_OK, "%s", error.text);
    descriptor_destroy(&pack);
    dnn_graph_destroy(graph);
    check_case(name);
}

static void test_refused(void) {
    dnn_sums sums = {.type = DTYPE_F32};
    dnn_tensor tensor = {.name = "one", .kind = DNN_INPUT, .type = DTYPE_F32, .stored = DTYPE_F32};
    cudnnBackendDescriptor_t made;
    dnn_graph *graph;
    ls_error error = {0};
    dnn_tensor_lies_channels_last(&tensor, 2, 3, 4, 5);
    CHECK(dnn_tensor_elements(&tensor) == 120, "%zu", dnn_tensor_elements(&tensor));
    CHECK(dnn_graph_create(&sums, NULL, &graph, &error) == LS_OK, "%s", error.text);
    CHECK(dnn_graph_add_tensor(graph, &tensor, &made, &error) == LS_OK, "%s", error.text);
    tensor.name = "two";
    CHECK(dnn_graph_add_tensor(graph, &tensor, &made, &error) == LS_FAILED &&
              strstr(error.text, "one and two") != NULL,
          "%s", error.text);
    memset(&error, 0, sizeof error);
    tensor.slot = DNN_SLOTS;
    CHECK(dnn_graph_add_tensor(graph, &tensor, &made, &error) == LS_FAILED &&
              strstr(error.text, "two has slot") != NULL,
          "%s", error.text);
    for (int index = 0; index < DNN_MOST_SCALARS; index++)
        CHECK(add_scalar(graph, 1, &made, &error) == LS_OK, "%s", error.text);
    CHECK(add_scalar(graph, 1, &made, &error) == LS_FAILED, "a scalar too many");
    CHECK(dnn_graph_finish(graph, &error) == LS_FAILED, "a graph without operations");
    dnn_graph_destroy(graph);
    check_case("what does not fit a graph is refused");
}

int main(int count, char **arguments) {
    static const dtype types[] = {DTYPE_F32, DTYPE_BF16, DTYPE_F16};
    test_refused();
    for (int index = 1; index < count; index++) {
        char gpu[32];
        dnn_target target = {NULL};
        gpu_name(arguments[index], gpu);
        ls_error error = {0};
        bool read = gpu_properties_read(arguments[index], &target.properties, &error) == LS_OK;
        CHECK(read, "%s", error.text);
        for (int type = 0; read && type < 3; type++)
            test_norm(gpu, &target, types[type]);
        descriptor_destroy(&target.properties);
    }
    return check_done();
}
