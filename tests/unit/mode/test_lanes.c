/* What lanes do with what a model keeps but does not train: each writes its own, lane 0's are held,
 * an evaluation reads those and moves none; and rank 0's become every rank's. By a layer of the
 * test's own, on a copy of ref that has its op.
 *
 * usage: test_lanes, or mpirun -n N test_lanes KIND (comm_fixture.h's, with a device: "ref/mpi") */
#include "../comm/comm_fixture.h"
#include "base/share.h"
#include "input/pixels.h"
#include "launch/lifeline.h"
#include "mode_fixture.h"
#include "model/layer.h"
#include "model/layers.h"

#include "../check.h"

#include <stdlib.h>
#include <string.h>

enum { SIDE = 2, IMAGE = SIDE * SIDE * 3, CLASSES = IMAGE, LANES = 4, FULL = 16, LAST = 2 };

/* --- the op: y = x + weight, of [n, IMAGE]; training adds 1 to the buffer `steps`, and to `sum`
 * the first value of each sample. */
static const op_kind op_count = {"count"};

typedef struct count_plan {
    plan base;
    int n;
} count_plan;

static int count_prepare(plan *self, const void *shape, const plan *like, ls_error *error) {
    (void)like, (void)error;
    ((count_plan *)self)->n = *(const int *)shape;
    text_add(&self->description, "test");
    return LS_OK;
}

static int count_forward(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    int n = ((count_plan *)self)->n;
    const float *x = a->x[0];
    float *y = a->y;
    for (int i = 0; i < n * IMAGE; i++)
        y[i] = x[i] + a->parameters[0][i % IMAGE] + a->buffers[1][0];
    if (!a->training)
        return LS_OK;
    a->buffers[0][0] += 1;
    for (int i = 0; i < n; i++)
        a->buffers[1][0] += x[i * IMAGE];
    return LS_OK;
}

static int count_backward_parameters(plan *self, const op_arguments *a, ls_error *error) {
    (void)error;
    const float *dy = a->dy;
    memset(a->gradients[0], 0, IMAGE * sizeof(float));
    for (int i = 0; i < ((count_plan *)self)->n * IMAGE; i++)
        a->gradients[0][i % IMAGE] += dy[i];
    return LS_OK;
}

static const op count_op = {.kind = &op_count,
                            .plan_bytes = sizeof(count_plan),
                            .prepare = count_prepare,
                            .forward = count_forward,
                            .backward_parameters = count_backward_parameters};

static int prepare(const layer_setting *to, plan **out, ls_error *error) {
    return op_prepare(to->device, &op_count, &to->n, to->like, out, error);
}

static const layer_interface layer_count = {
    .kind = "count", .prepare = prepare, .work = work_of_elements};

static int add_count(graph *g, const char *name, int input) {
    graph_layer *layer = graph_begin_layer(g, &layer_count, name, &input, 1, 0);
    graph_give(
        g, layer,
        &(graph_parameter){.name = "weight", .dims = {IMAGE}, .dim_count = 1, .trained = true});
    graph_give(g, layer, &(graph_parameter){.name = "steps", .dims = {1}, .dim_count = 1});
    graph_give(g, layer, &(graph_parameter){.name = "sum", .dims = {1}, .dim_count = 1});
    return graph_end_layer(g, layer, vector_of(IMAGE));
}

/* --- a mode with lanes of it */

static graph model;
static pixels kind;
static batch_maker maker;
static uint8_t images[FULL * IMAGE];
static int32_t labels[FULL];
static int64_t ids[FULL];

static void build(void) {
    int x = graph_input(&model, SIDE, SIDE, 3);
    x = add_count(&model, "count", x);
    must(graph_finish(&model, x, &error));
    for (int i = 0; i < FULL * IMAGE; i++)
        images[i] = (uint8_t)(i * 37 + i / 7 * 11);
}

/* The lanes of this rank have a network each, with plans for all that they will have. */
static network *split(void) {
    static const int counts[] = {FULL / LANES, FULL / LANES / 2, 1, 0};
    network *made = NULL;
    must(network_create(&model, memory, PRECISION_FP32, &made, &error));
    must(network_split(made, LANES / all->size, &error));
    for (int index = 0; index < 4; index++)
        must(network_prepare(made, counts[index], &error));
    must(network_seal(made, &error));
    return made;
}

static mode *make(network *network, int micro_batches) {
    mode *made = NULL;
    mode_settings settings = {.rank = all->rank,
                              .size = all->size,
                              .comm = all,
                              .control = control,
                              .device = memory,
                              .stream = stream,
                              .graph = &model,
                              .network = network,
                              .factors = FACTORS_OFF,
                              .bucket_bytes = 1 << 20,
                              .gradient_type = DTYPE_F32,
                              .lanes = LANES,
                              .micro_batches = micro_batches,
                              .global_batch = FULL,
                              .training_batch = FULL,
                              .last_training_batch = LAST};
    must(mode_create(all->size > 1 ? "ddp" : "single", &settings, &made, &error));
    for (store_kind each = STORE_PARAMETERS; each <= STORE_BUFFERS; each++)
        must(store_clear(made->store, stream, each, &error));
    must(mode_parameters_written(made, &error));
    return made;
}

static const test_batch batch = {&maker, images, IMAGE, labels, ids};

/* What is held here: steps and sum. */
static void check_held(mode *mode, float steps, float sum, const char *when) {
    float held[2];
    store_span both = {0, 2};
    must(store_read(mode->store, stream, STORE_BUFFERS, both, held, &error));
    CHECK(held[0] == steps && held[1] == sum, "%s: %g steps, a sum of %g; expected %g and %g", when,
          (double)held[0], (double)held[1], (double)steps, (double)sum);
}

/* Of the first value of images [first, first + count), in the network's input. */
static float sum_of(int64_t first, int64_t count, float sum) {
    for (int64_t i = first; i < first + count; i++)
        sum += (float)images[i * IMAGE] * kind.scale + kind.shift;
    return sum;
}

static void test_buffers(network *network, int micro_batches, const char *name) {
    mode *tried = make(network, micro_batches);
    int64_t each = FULL / LANES, first = all->rank * FULL / all->size;
    float steps = (float)micro_batches, mine = sum_of(first, each, 0), sum = sum_of(0, each, 0);
    mode_test_step(tried, &batch, FULL, true);
    check_held(tried, steps, mine, "a step");
    mode_test_step(tried, &batch, FULL, false);
    check_held(tried, steps, mine, "an evaluation");
    must(mode_share_buffers(tried, &error));
    check_held(tried, steps, sum, "rank 0's");
    mode_test_step(tried, &batch, LAST, true); /* lane 0 is empty */
    if (all->rank == 0)
        check_held(tried, steps, sum, "a step of two images");
    mode_test_step(tried, &batch, FULL, true);
    must(mode_share_buffers(tried, &error));
    check_held(tried, 2 * steps, sum_of(0, each, sum), "another step");
    mode_destroy(tried);
    END_CASE(name);
}

/* A device like the fixture's, which has the op. */
static void add_op(void) {
    static const op *kinds[32] = {&count_op};
    static device_interface with;
    with = *memory->is;
    for (int number = 0; with.kinds[number]; number++)
        kinds[number + 1] = with.kinds[number];
    with.kinds = kinds;
    memory->is = &with;
}

int main(int argc, char **argv) {
    launch here;
    if (comm_fixture_open(argc > 1 ? argv[1] : "ref/auto", &here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    add_op();
    build();
    kind = pixels_of(SIDE, SIDE, 3, CLASSES);
    kind.scale = 1.0f / 64, kind.shift = 0; /* sums are exact */
    must(batch_maker_open(&maker, memory, &kind.base, FULL, &error));
    network *network = split();
    test_buffers(network, 1, "buffers are lane 0's, and then rank 0's");
    test_buffers(network, 2, "each micro-batch moves them");
    batch_maker_close(&maker);
    network_destroy(network);
    graph_release(&model);
    comm_fixture_close();
    if (launch_finish(&here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        return check_done();
    return check_failures != 0;
}
