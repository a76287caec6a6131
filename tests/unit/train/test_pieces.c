/* An update made in pieces that cut tensors in two, part of them as from another rank, has the bits
 * of one made unit by unit: parameters, and packed copies, which the next step computes with. */
#include "cnn_step.h"
#include "mode/store_memory.h"

#include "../check.h"

#include <stdlib.h>
#include <string.h>

enum { BATCH = 4, IMAGE = CNN_HEIGHT * CNN_WIDTH * CNN_CHANNELS };

static cnn_step whole, cut;
static uint8_t images[BATCH * IMAGE];
static int32_t labels[BATCH];
static float *updated; /* whole's parameters after the step */
static ls_error error;

static void must(int status) {
    if (status == LS_OK)
        return;
    printf("Bail out! %s\n", error.text);
    exit(1);
}

/* Of `cut`: [first, end), by this rank or as it came from another. */
static int settle(size_t first, size_t end, bool elsewhere, ls_error *error) {
    mode *mode = cut.mode;
    const mode_settings *s = &mode->settings;
    store_span span = {first, end - first};
    if (elsewhere)
        LS_TRY(store_write(mode->store, s->stream, STORE_PARAMETERS, span, updated + first, error));
    store_slice slice = store_slice_of(mode->store, span.first, span.count);
    return (elsewhere ? s->settled_elsewhere : s->settled)(s->settled_context, s->stream, &slice,
                                                           error);
}

/* When backward has written all: every unit in three pieces, the middle one as from elsewhere. */
static int settle_in_parts(void *context, int unit, ls_error *error) {
    const graph *graph = ((mode *)context)->settings.graph;
    if (unit != 0)
        return LS_OK;
    for (int each = graph->unit_count - 1; each >= 0; each--) {
        const graph_unit *block = &graph->units[each];
        size_t first = block->first, third = block->count / 3;
        LS_TRY(settle(first + 2 * third, first + block->count, false, error));
        LS_TRY(settle(first, first + third, false, error));
        LS_TRY(settle(first + third, first + 2 * third, true, error));
    }
    return LS_OK;
}

static float *read_parameters(cnn_step *step) {
    float *out = calloc(step->graph.parameter_count, sizeof *out);
    if (!out)
        abort();
    must(cnn_step_read(step, STORE_PARAMETERS, out, &error));
    return out;
}

static double step_loss(cnn_step *step) {
    loss_totals totals;
    must(cnn_step_run(step, images, labels, &error));
    must(cnn_step_take_totals(step, &totals, &error));
    return totals.loss_sum;
}

static void open_both(const char *device, precision precision) {
    must(cnn_step_open(&whole, device, precision, 1, BATCH, &error));
    must(cnn_step_open(&cut, device, precision, 1, BATCH, &error));
    float *initial = calloc(whole.graph.parameter_count, sizeof *initial);
    if (!initial)
        abort();
    network_initialise(&whole.graph, 5, initial);
    must(cnn_step_load(&whole, initial, &error));
    must(cnn_step_load(&cut, initial, &error));
    free(initial);
}

/* On a CPU without products of bf16 that case is left out. */
static bool is_possible(const char *name, precision precision) {
    device *opened = NULL;
    ls_error refused = {0};
    must(device_open(name, &(device_request){.local_size = 1, .threads = 1}, &opened, &error));
    bool possible = opened->is->check_precision(opened, precision, &refused) == LS_OK;
    device_close(opened);
    return possible;
}

static void test_pieces(const char *device, precision precision, const char *name) {
    char skipped[80];
    snprintf(skipped, sizeof skipped, "%s # SKIP this CPU has no products of it", name);
    if (!is_possible(device, precision)) {
        check_case(skipped);
        return;
    }
    open_both(device, precision);
    double first = step_loss(&whole);
    updated = read_parameters(&whole);
    int (*by_unit)(void *, int, ls_error *) = cut.mode->hooks.backward_done;
    cut.mode->hooks.backward_done = settle_in_parts;
    CHECK(step_loss(&cut) == first, "the first step differs");
    cut.mode->hooks.backward_done = by_unit;
    float *found = read_parameters(&cut);
    size_t bytes = whole.graph.parameter_count * sizeof *found;
    CHECK(memcmp(found, updated, bytes) == 0, "other parameters");
    CHECK(step_loss(&whole) == step_loss(&cut), "the next step computes with other weights");
    free(found);
    free(updated);
    cnn_step_close(&whole);
    cnn_step_close(&cut);
    check_case(name);
}

int main(void) {
    for (int index = 0; index < BATCH * IMAGE; index++)
        images[index] = (uint8_t)(index * 37 + index / 7 * 11);
    for (int index = 0; index < BATCH; index++)
        labels[index] = index % CNN_CLASSES;
    test_pieces("ref", PRECISION_FP32, "ref, fp32");
    test_pieces("cpu", PRECISION_FP32, "cpu, fp32");
    test_pieces("cpu", PRECISION_BF16, "cpu, bf16");
    return check_done();
}
