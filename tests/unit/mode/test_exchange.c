/* ddp's ways of exchanging gradients, against the sum of the ranks' own gradients: buckets in fp32
 * and bf16, factors, and what auto makes of them. Batches are uneven, the last one leaves ranks
 * without a sample; evaluations stand between the steps.
 *
 * usage: mpirun -n N test_exchange KIND (comm_fixture.h's, with a device: "cpu/mpi"); rank 0 prints
 * the TAP. */
#include "../comm/comm_fixture.h"
#include "base/share.h"
#include "input/pixels.h"
#include "launch/lifeline.h"
#include "mode_fixture.h"
#include "model/layers.h"

#include "../check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 4, CHANNELS = 3, CLASSES = 5, FULL = 11, LAST = 2, IMAGE = SIDE * SIDE * CHANNELS };

static graph model;
static network *net;
static int64_t sizes[] = {FULL, LAST};

static void build(void) {
    int x = graph_input(&model, SIDE, SIDE, CHANNELS);
    x = graph_conv2d(&model, "conv", x, 16, 3, 1, 1, ACTIVATION_RELU);
    x = graph_linear(&model, "first", x, 32, ACTIVATION_RELU);
    x = graph_linear(&model, "second", x, CLASSES, ACTIVATION_NONE);
    must(graph_finish(&model, x, &error));
    must(network_create(&model, memory, PRECISION_FP32, &net, &error));
    for (int size = 0; size < 2; size++)
        must(network_prepare(net, (int)share_of(sizes[size], all->rank, all->size).count, &error));
    must(network_seal(net, &error));
}

static bool pumped; /* as between nodes: a thread moves the collectives on */

static mode *make(const char *name, dtype type, factor_choice factors, size_t bucket_bytes) {
    mode *made = NULL;
    mode_settings settings = {.measure_seconds = 1,
                              .rank = all->rank,
                              .size = all->size,
                              .comm = all,
                              .control = control,
                              .between_nodes = pumped,
                              .device = memory,
                              .stream = stream,
                              .graph = &model,
                              .network = net,
                              .bucket_bytes = bucket_bytes,
                              .gradient_type = type,
                              .factors = factors,
                              .global_batch = FULL,
                              .training_batch = FULL,
                              .last_training_batch = LAST};
    must(mode_create(name, &settings, &made, &error));
    float *host = calloc(model.parameter_count, sizeof *host);
    network_initialise(&model, 7, host);
    store_span whole = {0, model.parameter_count};
    must(store_write(made->store, stream, STORE_PARAMETERS, whole, host, &error));
    must(mode_parameters_written(made, &error));
    free(host);
    return made;
}

static pixels kind;
static batch_maker maker;
static uint8_t images[FULL * IMAGE];
static int32_t labels[FULL];
static int64_t ids[FULL];

/* The images of a global batch, the same on every rank; `turn` makes other ones. */
static void fill(int turn) {
    for (int index = 0; index < FULL * IMAGE; index++)
        images[index] = (uint8_t)(index * 37 + index / 7 * 11 + turn * 101);
    for (int index = 0; index < FULL; index++)
        labels[index] = (index + turn) % CLASSES;
}

static const test_batch batch = {&maker, images, IMAGE, labels, ids};

static float *take(const mode *mode) {
    float *host = calloc(model.parameter_count, sizeof *host);
    store_span whole = {0, model.parameter_count};
    must(store_read(mode->store, stream, STORE_GRADIENTS, whole, host, &error));
    return host;
}

/* Sums over the ranks of the gradients that each computes alone, and of their magnitudes. */
typedef struct truth {
    double *sum, *magnitude;
} truth;

static truth sum_of_own(int64_t global_count) {
    mode *alone = make("single", DTYPE_F32, FACTORS_OFF, 1);
    mode_test_step(alone, &batch, global_count, true);
    float *own = take(alone);
    truth made = {calloc(model.parameter_count, sizeof(double)),
                  calloc(model.parameter_count, sizeof(double))};
    for (size_t index = 0; index < model.parameter_count; index++) {
        made.sum[index] = (double)own[index];
        made.magnitude[index] = fabs((double)own[index]);
    }
    if (control) {
        must(
            comm_allreduce_double(control, made.sum, model.parameter_count, REDUCTION_SUM, &error));
        must(comm_allreduce_double(control, made.magnitude, model.parameter_count, REDUCTION_SUM,
                                   &error));
    }
    free(own);
    mode_destroy(alone);
    return made;
}

static void free_truth(truth *self) {
    free(self->sum);
    free(self->magnitude);
}

static bool same_everywhere(const float *gradient) {
    size_t bytes = model.parameter_count * sizeof *gradient;
    float *first = malloc(bytes);
    memcpy(first, gradient, bytes);
    if (control)
        must(comm_broadcast_bytes(control, first, bytes, 0, &error));
    bool same = memcmp(first, gradient, bytes) == 0;
    free(first);
    return same;
}

/* In fp32, a sum of up to FULL products that each rank rounds: a few units in the last place of the
 * unit's largest value. */
static double fp32_error(const truth *want, const graph_unit *unit) {
    double largest = 0;
    for (size_t index = 0; index < unit->count; index++)
        largest = fmax(largest, want->magnitude[unit->first + index]);
    return 32 * 0x1p-24 * largest;
}

/* The bound of mode/ddp.c. */
static double bf16_error(double magnitude) {
    return all->size * 0x1p-8 * pow(1 + 0x1p-8, all->size) * magnitude;
}

/* Of bf16: the largest error so far, as a share of its bound. */
static double worst_share;

/* Returns how many values of all-reduced units are not what fp32 would have. */
static int compare(const mode *mode, const truth *want, const char *name) {
    float *got = take(mode);
    int rounded = 0, wrong = 0;
    bool low = mode->settings.gradient_type == DTYPE_BF16 && all->size > 1;
    CHECK(same_everywhere(got), "%s: the ranks' bits differ", name);
    for (int unit = 0; unit < model.unit_count; unit++) {
        const graph_unit *block = &model.units[unit];
        double exact = fp32_error(want, block);
        for (size_t index = block->first; index < block->first + block->count; index++) {
            double off = fabs((double)got[index] - want->sum[index]), limit = exact;
            if (low && !mode->exchange.units[unit].factors) {
                limit += bf16_error(want->magnitude[index]);
                rounded += off > exact;
                worst_share = fmax(worst_share, (off - exact) / (limit - exact));
            }
            wrong += !(off <= limit);
        }
    }
    CHECK(wrong == 0, "%s: %d values are off", name, wrong);
    free(got);
    return rounded;
}

static void test_way(const char *name, dtype type, factor_choice factors, size_t bucket_bytes) {
    mode *tried = make("ddp", type, factors, bucket_bytes);
    bool low = type == DTYPE_BF16 && all->size > 1;
    if (factors != FACTORS_AUTO)
        for (int unit = 0; unit < model.unit_count; unit++)
            CHECK(tried->exchange.units[unit].factors == (factors == FACTORS_ON && unit > 0),
                  "unit %d", unit);
    for (int turn = 0; turn < 4; turn++) {
        fill(turn);
        truth want = sum_of_own(sizes[turn % 2]);
        mode_test_step(tried, &batch, sizes[turn % 2], true);
        int rounded = compare(tried, &want, name);
        CHECK(!low || turn % 2 || rounded > 0, "bf16 rounds nothing");
        free_truth(&want);
        mode_test_step(tried, &batch, sizes[(turn + 1) % 2], false);
    }
    mode_destroy(tried);
    END_CASE(name);
}

/* Every rank has rank 0's choice, and says what it weighed. */
static void test_auto(void) {
    mode *tried = make("ddp", DTYPE_F32, FACTORS_AUTO, 0);
    mode_exchange choice = tried->exchange;
    unit_exchange units[3];
    memcpy(units, choice.units, sizeof units);
    if (control) {
        must(comm_broadcast_bytes(control, &choice, sizeof choice, 0, &error));
        must(comm_broadcast_bytes(control, units, sizeof units, 0, &error));
    }
    choice.units = tried->exchange.units; /* this rank's place for them */
    CHECK(memcmp(&choice, &tried->exchange, sizeof choice) == 0 &&
              memcmp(units, tried->exchange.units, sizeof units) == 0,
          "rank 0 chose otherwise");
    CHECK(tried->exchange.used && tried->exchange.bucket_count > 0, "no buckets");
    CHECK(isnan(tried->exchange.latency_seconds) == (all->size == 1), "measured: %g",
          tried->exchange.latency_seconds);
    CHECK(isnan(tried->exchange.units[1].factor_seconds) == (all->size == 1), "weighed: %g",
          tried->exchange.units[1].factor_seconds);
    CHECK(all->size > 1 || !tried->exchange.units[1].factors, "one rank has none to send to");
    CHECK(all->size == 1 || tried->exchange.units[1].spread_seconds >= 0, "it varies by %g",
          tried->exchange.units[1].spread_seconds);
    mode_destroy(tried);
    END_CASE("auto's choice is rank 0's");
}

int main(int argc, char **argv) {
    launch here;
    if (comm_fixture_open(argc > 1 ? argv[1] : "ref/auto", &here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        printf("# comm %s on %d ranks\n", all->is->name, all->size);
    build();
    kind = pixels_of(SIDE, SIDE, CHANNELS, CLASSES);
    must(batch_maker_open(&maker, memory, &kind.base, FULL, &error));
    test_way("buckets, fp32", DTYPE_F32, FACTORS_OFF, 1000);
    test_way("one bucket, bf16", DTYPE_BF16, FACTORS_OFF, 1 << 20);
    test_way("buckets, bf16", DTYPE_BF16, FACTORS_OFF, 1000);
    test_way("factors, fp32", DTYPE_F32, FACTORS_ON, 1000);
    test_way("factors, the rest in bf16", DTYPE_BF16, FACTORS_ON, 1000);
    pumped = true;
    test_way("buckets with a pump", DTYPE_F32, FACTORS_OFF, 1000);
    test_way("factors with a pump", DTYPE_F32, FACTORS_ON, 1000);
    pumped = false;
    test_way("auto", DTYPE_F32, FACTORS_AUTO, 0);
    test_auto();
    if (here.rank == 0 && here.size > 1)
        printf("# bf16's largest error is %.2f of its bound\n", worst_share);
    batch_maker_close(&maker);
    network_destroy(net);
    comm_fixture_close();
    if (launch_finish(&here, &error) != LS_OK)
        lifeline_fail(&error, 0);
    if (here.rank == 0)
        return check_done();
    return check_failures != 0;
}
