/* The network: gradients of whole graphs by finite differences and against ref, plans as texts and
 * ids, parameters in slots, empty batches. usage: test_network DEVICE */
#include "../check.h"
#include "network_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Loss = sum of logits * fixed weights, so its gradient is those weights. */
static double logit_weight(size_t index) {
    return 0.3 + 0.1 * (double)(index % 7);
}

static double loss_of(fixture *f, pass *pass, int n, const float *parameters) {
    ls_error error = {0};
    size_t count = (size_t)n * 4;
    float logits[64];
    double loss = 0;
    fixture_put(f, f->parameters, parameters, f->graph.parameter_count);
    MUST(network_pack(f->network, f->stream, f->parameters, &error));
    fixture_fill_input(f, pass, n);
    MUST(network_forward(f->network, pass, true, f->stream, &f->hooks, &error));
    fixture_get(f, logits, pass_logits(pass), count);
    for (size_t index = 0; index < count; index++)
        loss += logit_weight(index) * (double)logits[index];
    return loss;
}

static void backward_of(fixture *f, pass *pass, int n, const float *parameters, float *gradients) {
    ls_error error = {0};
    float dlogits[64];
    loss_of(f, pass, n, parameters);
    for (size_t index = 0; index < (size_t)n * 4; index++)
        dlogits[index] = (float)logit_weight(index);
    fixture_put(f, pass_logits_gradient(pass), dlogits, (size_t)n * 4);
    f->ready_count = 0;
    MUST(network_backward(f->network, pass, f->stream, &f->hooks, &error));
    fixture_get(f, gradients, f->gradients, f->graph.parameter_count);
}

/* Central differences along each unit's own gradient direction: the slope there is the gradient's
 * length. ReLU and max make the loss only piecewise smooth, so the step is small and one unit is
 * compared as a whole, where a kink weighs little. */
static void check_gradients(const char *device_name, void (*build)(graph *g), int n) {
    static fixture f;
    memset(&f, 0, sizeof f);
    build(&f.graph);
    fixture_open(&f, device_name, (int[]){5, n}, 2);
    size_t count = f.graph.parameter_count;
    float *parameters = malloc(count * sizeof(float)), *moved = malloc(count * sizeof(float));
    float *gradients = malloc(count * sizeof(float));
    fixture_random(parameters, count, 2);
    for (size_t index = 0; index < count; index++)
        parameters[index] *= 0.3f;
    pass *pass = network_pass(f.network, n);
    backward_of(&f, pass, n, parameters, gradients);
    CHECK(f.ready_count == f.graph.unit_count, "%d units ready", f.ready_count);
    for (int index = 0; index < f.ready_count; index++)
        CHECK(f.ready[index] == f.graph.unit_count - 1 - index, "unit %d came as number %d",
              f.ready[index], index);
    for (int unit = 0; unit < f.graph.unit_count; unit++) {
        size_t size = f.graph.units[unit].count, first = f.graph.units[unit].first;
        const float *gradient = gradients + first;
        double norm = 0, step = 2e-3;
        for (size_t index = 0; index < size; index++)
            norm += (double)gradient[index] * (double)gradient[index];
        norm = sqrt(norm);
        double losses[2];
        for (int side = 0; side < 2; side++) {
            memcpy(moved, parameters, count * sizeof(float));
            for (size_t index = 0; index < size; index++)
                moved[first + index] +=
                    (float)((side ? step : -step) * (double)gradient[index] / norm);
            losses[side] = loss_of(&f, pass, n, moved);
        }
        double slope = (losses[1] - losses[0]) / (2 * step);
        CHECK(fabs(slope - norm) < 0.01 * norm, "%s: slope %g, gradient's length %g",
              graph_unit_layer(&f.graph, unit)->name, slope, norm);
    }
    free(parameters);
    free(moved);
    free(gradients);
    fixture_close(&f);
}

/* A training step's gradients, then its running statistics and the logits of an evaluation with
 * these; `out` is the caller's. */
static size_t step_of(const char *device_name, void (*build)(graph *g), int n, float **out) {
    static fixture f;
    memset(&f, 0, sizeof f);
    ls_error error = {0};
    build(&f.graph);
    fixture_open(&f, device_name, &n, 1);
    size_t parameters = f.graph.parameter_count, buffers = f.graph.buffer_count;
    size_t count = parameters + buffers + (size_t)n * 4;
    float *values = malloc(count * sizeof(float));
    *out = malloc(count * sizeof(float));
    if (buffers > 0) {
        network_initialise_buffers(&f.graph, 1, values);
        fixture_put(&f, f.buffers, values, buffers);
    }
    fixture_random(values, parameters, 2);
    pass *pass = network_pass(f.network, n);
    backward_of(&f, pass, n, values, *out);
    if (buffers > 0)
        fixture_get(&f, *out + parameters, f.buffers, buffers);
    fixture_fill_input(&f, pass, n);
    MUST(network_forward(f.network, pass, false, f.stream, &f.hooks, &error));
    fixture_get(&f, *out + parameters + buffers, pass_logits(pass), (size_t)n * 4);
    free(values);
    fixture_close(&f);
    return count;
}

/* The device against ref, number for number. */
static void check_against_ref(const char *device_name, void (*build)(graph *g), int n) {
    float *results[2];
    double largest = 0, worst = 0;
    size_t count = step_of("ref", build, n, &results[0]);
    step_of(device_name, build, n, &results[1]);
    for (size_t index = 0; index < count; index++) {
        largest = fmax(largest, fabs((double)results[0][index]));
        worst = fmax(worst, fabs((double)results[0][index] - (double)results[1][index]));
    }
    CHECK(largest > 0.1 && worst < 1e-4 * largest, "differs by %g of %g", worst, largest);
    free(results[0]);
    free(results[1]);
}

static void check_empty(const char *device_name) {
    static fixture f;
    memset(&f, 0, sizeof f);
    ls_error error = {0};
    fixture_residual(&f.graph);
    fixture_open(&f, device_name, (int[]){3, 0}, 2);
    size_t count = f.graph.parameter_count;
    float *values = malloc(count * sizeof(float));
    fixture_random(values, count, 9);
    fixture_put(&f, f.gradients, values, count);
    MUST(network_forward(f.network, network_pass(f.network, 0), true, f.stream, &f.hooks, &error));
    MUST(network_backward(f.network, network_pass(f.network, 0), f.stream, &f.hooks, &error));
    fixture_get(&f, values, f.gradients, count);
    size_t left = 0;
    for (size_t index = 0; index < count; index++)
        left += values[index] != 0;
    CHECK(left == 0, "%zu gradients are not zero", left);
    CHECK(f.ready_count == f.graph.unit_count, "%d units ready", f.ready_count);
    free(values);
    fixture_close(&f);
}

/* ---- parameters that are in a few slots only, as a sharded mode has them */

enum { AHEAD = 2, SLOTS = AHEAD + 1 };

typedef struct slots {
    fixture *of;
    float *memory[SLOTS]; /* device memory, each of the largest unit's size */
    int unit[SLOTS];      /* -1: free */
    int asked;            /* calls of hook_slot */
    int late, full; /* units that were asked for before they were fetched; fetched into none */
} slots;

static int slot_of(const slots *self, int unit) {
    int slot = 0;
    while (slot < SLOTS && self->unit[slot] != unit)
        slot++;
    return slot;
}

static int fetch(slots *self, int unit, ls_error *error) {
    const fixture *f = self->of;
    const graph_unit *block = &f->graph.units[unit];
    int slot = slot_of(self, -1);
    if (slot_of(self, unit) < SLOTS)
        return LS_OK;
    if (slot == SLOTS) {
        self->full++;
        return LS_OK;
    }
    self->unit[slot] = unit;
    return f->device->is->copy(f->device, f->stream, self->memory[slot],
                               f->parameters + block->first, block->count * sizeof(float),
                               COPY_ON_DEVICE, error);
}

static int hook_comes_to(void *context, int unit, bool backward, ls_error *error) {
    slots *self = context;
    int count = self->of->graph.unit_count;
    for (int distance = 1; distance <= AHEAD; distance++) {
        int next = backward ? unit - distance : unit + distance;
        if (next >= 0 && next < count)
            LS_TRY(fetch(self, next, error));
    }
    return LS_OK;
}

static int hook_slot(void *context, int unit, const float **out, ls_error *error) {
    slots *self = context;
    bool begins = self->asked++ % self->of->graph.unit_count == 0; /* a walk: nobody could fetch */
    if (slot_of(self, unit) == SLOTS) {
        self->late += !begins;
        LS_TRY(fetch(self, unit, error));
    }
    *out = self->memory[slot_of(self, unit) % SLOTS];
    return LS_OK;
}

static int hook_released(void *context, int unit, ls_error *error) {
    slots *self = context;
    (void)error;
    self->unit[slot_of(self, unit)] = -1;
    return LS_OK;
}

static int slot_gradient(void *context, int unit, float **out, ls_error *error) {
    fixture *f = ((slots *)context)->of;
    return f->hooks.gradient(f, unit, out, error);
}

static int slot_ready(void *context, int unit, ls_error *error) {
    fixture *f = ((slots *)context)->of;
    return f->hooks.gradient_ready(f, unit, error);
}

static void run_step(fixture *f, const network_hooks *hooks, float *gradients) {
    ls_error error = {0};
    pass *pass = network_pass(f->network, 3);
    size_t count = graph_tensor_elements(&f->graph.tensors[0]) * 3;
    float *input = malloc(count * sizeof *input);
    fixture_random(input, count, 3);
    fixture_put(f, pass_input(pass), input, count);
    MUST(network_forward(f->network, pass, true, f->stream, hooks, &error));
    fixture_random(input, 12, 4);
    fixture_put(f, pass_logits_gradient(pass), input, 12);
    MUST(network_backward(f->network, pass, f->stream, hooks, &error));
    fixture_get(f, gradients, f->gradients, f->graph.parameter_count);
    free(input);
}

static void check_slots(const char *device_name) {
    static fixture f;
    memset(&f, 0, sizeof f);
    ls_error error = {0};
    fixture_residual(&f.graph);
    fixture_open(&f, device_name, (int[]){3, 0}, 2);
    size_t count = f.graph.parameter_count;
    float *whole = malloc(count * sizeof(float)), *sharded = malloc(count * sizeof(float));
    fixture_random(whole, count, 9);
    fixture_put(&f, f.parameters, whole, count);
    MUST(network_pack(f.network, f.stream, f.parameters, &error));
    run_step(&f, &f.hooks, whole);
    slots self = {.of = &f};
    for (int slot = 0; slot < SLOTS; slot++) {
        self.unit[slot] = -1;
        MUST(f.device->is->allocate(f.device, count * sizeof(float), "a slot",
                                    (void **)&self.memory[slot], &error));
    }
    network_hooks hooks = {.context = &self,
                           .parameters = hook_slot,
                           .released = hook_released,
                           .comes_to = hook_comes_to,
                           .gradient = slot_gradient,
                           .gradient_ready = slot_ready};
    f.ready_count = 0;
    run_step(&f, &hooks, sharded);
    CHECK(memcmp(whole, sharded, count * sizeof(float)) == 0, "other gradients");
    /* A rank without a sample fetches as the others do. */
    pass *empty = network_pass(f.network, 0);
    MUST(network_forward(f.network, empty, true, f.stream, &hooks, &error));
    f.ready_count = 0;
    MUST(network_backward(f.network, empty, f.stream, &hooks, &error));
    CHECK(self.late == 0, "%d units were asked for before they were fetched", self.late);
    CHECK(self.full == 0, "%d units found no slot", self.full);
    for (int slot = 0; slot < SLOTS; slot++) {
        CHECK(self.unit[slot] == -1, "slot %d was not given back", slot);
        f.device->is->release(f.device, self.memory[slot]);
    }
    free(whole), free(sharded);
    fixture_close(&f);
}

/* The lines of a library's reference, and none of the device that is called so. */
static void check_references(const char *device_name) {
    static fixture f;
    text_buffer all = {0}, slow = {0};
    memset(&f, 0, sizeof f);
    fixture_residual(&f.graph);
    fixture_open(&f, device_name, (int[]){3}, 1);
    network_describe(f.network, &all);
    network_describe_references(f.network, &slow);
    bool named =
        strstr(all.bytes, " ref:any") || strstr(all.bytes, ":ref\n") || strstr(all.bytes, ":ref /");
    CHECK(named == (slow.length > 0), "'%s' of '%s'", slow.bytes ? slow.bytes : "", all.bytes);
    text_free(&all), text_free(&slow);
    fixture_close(&f);
}

/* Equal plans by another version of the library, or on another kind of processor, are others. */
static void check_plan_id(const char *device_name) {
    static fixture f;
    char ids[3][17];
    memset(&f, 0, sizeof f);
    fixture_residual(&f.graph);
    fixture_open(&f, device_name, (int[]){3}, 1);
    network_plan_id(f.network, ids[0]);
    network_plan_id(f.network, ids[1]);
    strcat(f.device->facts.library, ".1");
    network_plan_id(f.network, ids[2]);
    CHECK(strcmp(ids[0], ids[1]) == 0 && strcmp(ids[0], ids[2]) != 0, "%s %s %s", ids[0], ids[1],
          ids[2]);
    fixture_close(&f);
}

int main(int argc, char **argv) {
    const char *device_name = argc > 1 ? argv[1] : "ref";
    setvbuf(stdout, NULL, _IOLBF, 0);
    check_gradients(device_name, fixture_residual, 2);
    check_gradients(device_name, fixture_residual, 7);
    check_case("gradients of a residual network against finite differences");
    check_against_ref(device_name, fixture_residual, 3);
    check_case("gradients of a residual network against ref");
    check_gradients(device_name, fixture_normed, 7);
    check_case("gradients of one with norms against finite differences");
    check_against_ref(device_name, fixture_normed, 3);
    check_case("its gradients, running statistics and evaluation against ref");
    check_references(device_name);
    check_case("plans that are a library's reference are told");
    check_plan_id(device_name);
    check_case("a plan's id holds the library's version");
    check_slots(device_name);
    check_case("parameters in slots, fetched ahead of their use");
    check_empty(device_name);
    check_case("an empty batch has zero gradients and joins in");
    return check_done();
}
