/* Attention: against ref, and against finite differences. One thread gives the bits of all; no
 * memory grows with the square of the tokens. */
#include "device/kinds/attention.h"
#include "op_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t outputs_of(const attention_shape *shape) {
    return (size_t)shape->n * (size_t)shape->tokens * (size_t)shape->heads *
           (size_t)shape->head_dim;
}

static op_trial trial_of(const attention_shape *shape, const float *x, const float *dy) {
    return (op_trial){.kind = &op_attention,
                      .shape = shape,
                      .x = {trial_flat(3 * outputs_of(shape), x)},
                      .dy = trial_flat(outputs_of(shape), dy)};
}

/* Queries, keys and values in +-`reach`: of large ones a row's weights are nearly 1 and 0. */
static void one_shape(subject *s, subject *ref, attention_shape shape, float reach,
                      uint64_t stream) {
    size_t outputs = outputs_of(&shape);
    attention_shape plain = shape;
    plain.type = DTYPE_F32;
    float *x = random_values(s, 3 * outputs, stream, -reach, reach);
    float *dy = random_values(s, outputs, stream + 1, -1, 1);
    op_trial trial = trial_of(&shape, x, dy), truth = trial_of(&plain, x, dy);
    op_results want = op_try(ref, &truth), got = op_try(s, &trial);
    op_results again = op_try_alone(s, &trial);
    /* A score's error is one of its weight, relatively; scores reach up to the square. What y was
     * rounded by counts in backward, where it stands for the mean of the weights' gradients. */
    double width = (double)shape.head_dim, score = (double)reach * (double)reach * sqrt(width);
    double near = 0x1p-21 * (8 + score) * (double)reach;
    double roundoff = s->type == DTYPE_BF16 ? 0x1p-8 : s->type == DTYPE_F16 ? 0x1p-11 : 0;
    expect_close_stored(s, "y", got.y, want.y, outputs, near + roundoff * (double)reach / 4);
    expect_close_stored(s, "dx", got.dx[0], want.dx[0], 3 * outputs,
                        (near + roundoff) * sqrt(width) * (double)reach);
    expect_same_bits(&trial, &got, &again);
    op_results_free(&again), op_results_free(&got), op_results_free(&want);
    free(x), free(dy);
    case_done(s, "attention [%d,%d,%d,%d] of +-%g", shape.n, shape.tokens, shape.heads,
              shape.head_dim, (double)reach);
}

static void by_differences(subject *s, subject *ref, attention_shape shape, uint64_t stream) {
    float *x = random_floats(3 * outputs_of(&shape), stream, -1, 1);
    float *dy = random_floats(outputs_of(&shape), stream + 1, -1, 1);
    op_trial trial = trial_of(&shape, x, dy);
    op_results got = op_try(s, &trial);
    expect_differences(ref, &trial, &got, 0x1p-7f, 1, 0x1p-10);
    op_results_free(&got), free(x), free(dy);
    case_done(s, "attention [%d,%d,%d,%d]: finite differences", shape.n, shape.tokens, shape.heads,
              shape.head_dim);
}

static size_t memory_for(subject *s, int tokens) {
    attention_shape shape = {.n = 2, .tokens = tokens, .heads = 3, .head_dim = 64, .type = s->type};
    ls_error error = {0};
    plan *plan;
    must(op_prepare(s->device, &op_attention, &shape, NULL, &plan, &error), &error);
    size_t bytes = plan->workspace_bytes + plan->saved_bytes;
    plan_release(plan);
    return bytes;
}

void test_attention(subject *s, subject *ref) {
    /* ViT's, one token, heads that fill no vector, tokens on either side of whole blocks. */
    static const int shapes[][4] = {{1, 1, 1, 64},  {1, 197, 2, 64}, {2, 50, 3, 64},
                                    {1, 65, 1, 32}, {3, 17, 2, 80},  {1, 130, 1, 24},
                                    {2, 5, 4, 7},   {2, 64, 1, 128}};
    if (subject_lacks(s, &op_attention))
        return;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        const int *d = shapes[i];
        attention_shape shape = {
            .n = d[0], .tokens = d[1], .heads = d[2], .head_dim = d[3], .type = s->type};
        one_shape(s, ref, shape, 1, 13000 + 10 * i);
        if (i == 3)
            one_shape(s, ref, shape, 8, 13005 + 10 * i);
    }
    size_t few = memory_for(s, 256), many = memory_for(s, 1024);
    expect(many < 5 * few, "%zu bytes for 256 tokens, %zu for 1024", few, many);
    case_done(s, "attention: memory for four times the tokens");
    if (s->precision != PRECISION_FP32)
        return;
    by_differences(s, ref, (attention_shape){.n = 2, .tokens = 3, .heads = 2, .head_dim = 5},
                   13200);
    by_differences(s, ref, (attention_shape){.n = 1, .tokens = 9, .heads = 1, .head_dim = 16},
                   13210);
}
