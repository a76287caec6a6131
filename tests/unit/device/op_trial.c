#include "op_trial.h"

#include <stdlib.h>
#include <string.h>

/* The trial's arrays on the device. */
typedef struct memory {
    array x[OP_INPUTS], dx[OP_INPUTS], y, dy, saved, workspace;
    array parameters[OP_PARAMETERS], gradients[OP_PARAMETERS], packed[OP_PARAMETERS];
    array buffers[OP_BUFFERS];
    array state; /* of the draws */
} memory;

static array tensor_memory(subject *s, const trial_tensor *t, const float *values) {
    if (!values)
        return t->image.n ? tensor_new(s, t->layout, t->image) : values_new(s, t->count);
    return t->image.n ? tensor_of(s, t->layout, t->image, values) : values_of(s, values, t->count);
}

static float *tensor_values(subject *s, const trial_tensor *t, const array *from) {
    return t->image.n ? tensor_get(s, t->layout, t->image, from) : values_get(s, from, t->count);
}

static void allocate(subject *s, const op_trial *t, plan *plan, memory *m, op_arguments *a) {
    ls_error error = {0};
    struct plan *packing = t->packing ? t->packing : plan;
    for (int i = 0; i < OP_INPUTS && t->x[i].count; i++) {
        m->x[i] = tensor_memory(s, &t->x[i], t->x[i].values);
        a->x[i] = m->x[i].memory;
        if (t->leaves[i])
            continue;
        m->dx[i] = tensor_memory(s, &t->x[i], NULL);
        a->dx[i] = m->dx[i].memory;
    }
    for (int i = 0; i < OP_PARAMETERS && t->parameters[i].count; i++) {
        m->parameters[i] = parameters_of(s, t->parameters[i].values, t->parameters[i].count);
        m->gradients[i] = parameters_new(s, t->parameters[i].count);
        m->packed[i] = array_new(s, packing->packed[i].bytes);
        a->parameters[i] = parameters_at(&m->parameters[i]);
        a->gradients[i] = parameters_at(&m->gradients[i]);
        a->packed[i] = m->packed[i].memory;
        must(plan_pack(packing, s->stream, i, a->parameters[i], m->packed[i].memory, &error),
             &error);
    }
    for (int i = 0; i < OP_BUFFERS && t->buffers[i].count; i++) {
        m->buffers[i] = parameters_of(s, t->buffers[i].values, t->buffers[i].count);
        a->buffers[i] = parameters_at(&m->buffers[i]);
    }
    m->y = tensor_memory(s, &t->dy, NULL);
    m->dy = tensor_memory(s, &t->dy, t->evaluates ? NULL : t->dy.values);
    m->saved = array_new(s, plan->saved_bytes);
    m->workspace = array_new(s, plan->workspace_bytes);
    a->y = m->y.memory;
    a->dy = m->dy.memory;
    a->saved = m->saved.memory;
    a->workspace = m->workspace.memory;
    a->stream = s->stream;
    if (t->draws)
        m->state = array_of(s, t->draws->state, sizeof *t->draws->state);
    a->training = !t->evaluates;
}

static bool wants_dx(const op_trial *t) {
    for (int i = 0; i < OP_INPUTS && t->x[i].count; i++)
        if (!t->leaves[i])
            return true;
    return false;
}

static void run(const op_trial *t, plan *plan, const op_arguments *a) {
    ls_error error = {0};
    must(plan->is->forward(plan, a, &error), &error);
    if (t->evaluates)
        return;
    if (t->parameters[0].count)
        must(plan->is->backward_parameters(plan, a, &error), &error);
    if (wants_dx(t))
        must(plan->is->backward_inputs(plan, a, &error), &error);
}

static op_results results_of(subject *s, const op_trial *t, const memory *m) {
    op_results out = {.y = tensor_values(s, &t->dy, &m->y)};
    for (int i = 0; i < OP_INPUTS && t->x[i].count && !t->evaluates; i++)
        if (!t->leaves[i])
            out.dx[i] = tensor_values(s, &t->x[i], &m->dx[i]);
    for (int i = 0; i < OP_PARAMETERS && t->parameters[i].count && !t->evaluates; i++)
        out.gradients[i] = parameters_get(s, &m->gradients[i], t->parameters[i].count);
    for (int i = 0; i < OP_BUFFERS && t->buffers[i].count; i++)
        out.buffers[i] = parameters_get(s, &m->buffers[i], t->buffers[i].count);
    return out;
}

static void release(subject *s, array *arrays, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (arrays[i].base)
            array_free(s, &arrays[i]);
}

op_results op_try(subject *s, const op_trial *t) {
    ls_error error = {0};
    plan *plan = t->plan;
    memory m = {0};
    op_arguments arguments = {0};
    if (!plan)
        must(op_prepare(s->device, t->kind, t->shape, NULL, &plan, &error), &error);
    allocate(s, t, plan, &m, &arguments);
    op_draws draws = t->draws ? *t->draws : (op_draws){0};
    draws.state = m.state.memory;
    arguments.draws = t->draws ? &draws : NULL;
    arguments.sums = t->sums;
    run(t, plan, &arguments);
    op_results out = results_of(s, t, &m);
    if (!t->plan)
        plan_release(plan);
    release(s, (array *)&m, sizeof m / sizeof(array));
    return out;
}

static void free_all(float **arrays, int count) {
    for (int i = 0; i < count; i++)
        free(arrays[i]);
}

void op_results_free(op_results *self) {
    free(self->y);
    free_all(self->dx, OP_INPUTS);
    free_all(self->gradients, OP_PARAMETERS);
    free_all(self->buffers, OP_BUFFERS);
}

typedef struct alone {
    subject *s;
    const op_trial *trial;
    op_results out;
} alone;

static void try_alone(void *context, int worker) {
    alone *self = context;
    (void)worker;
    self->out = op_try(self->s, self->trial);
}

op_results op_try_alone(subject *s, const op_trial *trial) {
    alone run = {.s = s, .trial = trial};
    device_alone(s->device, try_alone, &run);
    return run.out;
}

static void expect_same(const char *what, const float *a, const float *b, size_t count) {
    expect(!a || memcmp(a, b, count * sizeof *a) == 0, "%s has other bits", what);
}

void expect_same_bits(const op_trial *trial, const op_results *a, const op_results *b) {
    expect_same("y", a->y, b->y, trial->dy.count);
    for (int i = 0; i < OP_INPUTS; i++)
        expect_same("a gradient of an input", a->dx[i], b->dx[i], trial->x[i].count);
    for (int i = 0; i < OP_PARAMETERS; i++)
        expect_same("a gradient of a parameter", a->gradients[i], b->gradients[i],
                    trial->parameters[i].count);
    for (int i = 0; i < OP_BUFFERS; i++)
        expect_same("a buffer", a->buffers[i], b->buffers[i], trial->buffers[i].count);
}

/* --- finite differences: loss = sum of dy * y, y by ref */

typedef struct trial_loss {
    subject *ref;
    op_trial trial;
} trial_loss;

static double loss_of(void *context, uint64_t *signature) {
    trial_loss *self = context;
    op_results out = op_try(self->ref, &self->trial);
    double loss = 0;
    for (size_t i = 0; i < self->trial.dy.count; i++)
        loss += (double)out.y[i] * (double)self->trial.dy.values[i];
    *signature = 0;
    op_results_free(&out);
    return loss;
}

void expect_differences(subject *ref, const op_trial *trial, const op_results *got, float step,
                        size_t stride, double tolerance) {
    trial_loss loss = {ref, *trial};
    loss.trial.evaluates = true;
    differences how = {
        .loss = loss_of, .context = &loss, .step = step, .stride = stride, .tolerance = tolerance};
    for (int i = 0; i < OP_INPUTS; i++)
        if (got->dx[i])
            expect_gradient("dx", &how, (float *)trial->x[i].values, got->dx[i], trial->x[i].count);
    for (int i = 0; i < OP_PARAMETERS; i++)
        if (got->gradients[i])
            expect_gradient("a parameter's gradient", &how, (float *)trial->parameters[i].values,
                            got->gradients[i], trial->parameters[i].count);
}

bool subject_lacks(subject *s, const op_kind *kind) {
    ls_error error = {0};
    plan *plan = NULL;
    for (const op *const *each = s->device->is->kinds; *each; each++)
        if ((*each)->kind == kind)
            return false;
    if (s->device->facts.host_addressable)
        return false;
    expect(op_prepare(s->device, kind, NULL, NULL, &plan, &error) == LS_FAILED && !plan &&
               strstr(error.text, kind->name) && strstr(error.text, s->device->is->name),
           "said: %s", error.text);
    case_done(s, "%s is refused by name", kind->name);
    return true;
}
