/* Dropout and stochastic depth: which elements, by the generator's own numbers; how many; forward
 * and backward. */
#include "device/kinds/dropout.h"
#include "op_trial.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t count_of(const dropout_shape *shape) {
    return (size_t)shape->n * shape->each;
}

static op_trial trial_of(const dropout_shape *shape, const op_draws *draws, const float *x,
                         const float *dy) {
    return (op_trial){.kind = &op_dropout,
                      .shape = shape,
                      .x = {trial_flat(count_of(shape), x)},
                      .dy = trial_flat(count_of(shape), dy),
                      .draws = draws};
}

/* 0, or what is kept is multiplied by: element e of a sample, as the header has it. */
static double factor(const dropout_shape *shape, const op_draws *draws, size_t sample, size_t e) {
    uint32_t drawn[4];
    uint64_t blocks = shape->whole ? 1 : (shape->each + 3) / 4, step = 1000 + 7;
    e = shape->whole ? 0 : e;
    random_block(draws->seed, RANDOM_DROPOUT, (uint64_t)shape->stream << 40 | step,
                 ((uint64_t)draws->first + sample) * blocks + e / 4, drawn);
    return (double)drawn[e % 4] * 0x1p-32 < shape->rate ? 0 : 1 / (1 - shape->rate);
}

static void one_shape(subject *s, const dropout_shape *shape, uint64_t stream) {
    size_t count = count_of(shape);
    step_state state = {.step = 1000, .skipped = 7};
    op_draws draws = {.seed = 0x123456789abcdef, .state = &state, .first = 50};
    float *x = random_values(s, count, stream, -1, 1);
    float *dy = random_values(s, count, stream + 1, -1, 1);
    float *y = floats(count), *dx = floats(count);
    double rounding = 0x1p-22 / (1 - shape->rate);
    double kept = 0, products[2] = {0}, draws_made = (double)(shape->whole ? shape->n : (int)count);
    for (size_t i = 0; i < count; i++) {
        double by = factor(shape, &draws, i / shape->each, i % shape->each);
        y[i] = (float)(by * (double)x[i]);
        dx[i] = (float)(by * (double)dy[i]);
        kept += (by > 0) / (shape->whole ? (double)shape->each : 1);
    }
    op_trial trial = trial_of(shape, &draws, x, dy);
    op_results got = op_try(s, &trial), alone = op_try_alone(s, &trial);
    expect_close_stored(s, "y", got.y, y, count, rounding);
    expect_close_stored(s, "dx", got.dx[0], dx, count, rounding);
    expect_same_bits(&trial, &got, &alone);
    double wanted = draws_made * (1 - shape->rate);
    expect(fabs(kept - wanted) <= 5 * sqrt(wanted * shape->rate) + 1e-9, "%g kept of %g", kept,
           draws_made);
    for (size_t i = 0; i < count; i++) { /* y is linear in x: the gradient of sum(dy * y) is dx */
        products[0] += (double)dy[i] * (double)got.y[i];
        products[1] += (double)x[i] * (double)got.dx[0][i];
    }
    expect(fabs(products[0] - products[1]) <= 4e-3 * sqrt((double)count) / (1 - shape->rate),
           "%g is not %g", products[0], products[1]);
    trial.evaluates = true;
    op_results plain = op_try(s, &trial);
    expect_equal("y of an evaluation", plain.y, x, count);
    free(x), free(dy), free(y), free(dx);
    op_results_free(&got), op_results_free(&alone), op_results_free(&plain);
    case_done(s, "dropout [%d,%zu] %g%s", shape->n, shape->each, shape->rate,
              shape->whole ? " of whole samples" : "");
}

/* A batch in two calls, wherever it is cut, has the bits of one call. */
static void in_parts(subject *s, bool whole) {
    enum { N = 13, EACH = 197, CUT = 5 };
    step_state state = {.step = 3};
    op_draws draws = {.seed = 9, .state = &state, .first = 1000};
    dropout_shape all = {
        .n = N, .each = EACH, .type = s->type, .rate = 0.4, .whole = whole, .stream = 3};
    float *x = random_values(s, N * EACH, 17500, -1, 1);
    op_trial trial = trial_of(&all, &draws, x, x);
    op_results together = op_try(s, &trial);
    for (int part = 0; part < 2; part++) {
        size_t first = part ? CUT * EACH : 0;
        dropout_shape some = all;
        op_draws from = draws;
        some.n = part ? N - CUT : CUT;
        from.first += part ? CUT : 0;
        trial = trial_of(&some, &from, x + first, x + first);
        op_results got = op_try(s, &trial);
        expect_equal("y of a part", got.y, together.y + first, count_of(&some));
        expect_equal("dx of a part", got.dx[0], together.dx[0] + first, count_of(&some));
        op_results_free(&got);
    }
    free(x), op_results_free(&together);
    case_done(s, "dropout%s: a batch in two parts has the bits of the whole",
              whole ? " of whole samples" : "");
}

/* Another step, another layer, another seed: other elements. */
static void drawn_anew(subject *s) {
    enum { N = 4, EACH = 400 };
    step_state states[] = {{.step = 3}, {.step = 4}};
    float *x = random_values(s, N * EACH, 17600, 0.5, 1), *first = NULL;
    for (int i = 0; i < 4; i++) {
        op_draws draws = {.seed = i == 3 ? 10 : 9, .state = &states[i == 1]};
        dropout_shape shape = {
            .n = N, .each = EACH, .type = s->type, .rate = 0.5, .stream = i == 2 ? 1 : 0};
        op_trial trial = trial_of(&shape, &draws, x, x);
        op_results got = op_try(s, &trial);
        int same = 0;
        for (size_t e = 0; first && e < N * EACH; e++)
            same += (got.y[e] > 0) == (first[e] > 0);
        expect(!first || (same > N * EACH * 0.42 && same < N * EACH * 0.58), "%d: %d of %d agree",
               i, same, N * EACH);
        if (!first) {
            first = floats(N * EACH);
            memcpy(first, got.y, N * EACH * sizeof *first);
        }
        op_results_free(&got);
    }
    free(x), free(first);
    case_done(s, "dropout: another step, layer or seed leaves out others");
}

void test_dropout(subject *s, subject *ref) {
    static const struct {
        int n;
        size_t each;
        double rate;
    } tried[] = {{3, 17 * 192, 0.1}, {1, 5, 0.5}, {33, 64, 0.25}, {200, 7, 0.9}, {2, 40000, 0.3}};
    (void)ref;
    if (subject_lacks(s, &op_dropout))
        return;
    for (size_t i = 0; i < 2 * sizeof tried / sizeof *tried; i++)
        one_shape(s,
                  &(dropout_shape){.n = tried[i / 2].n,
                                   .each = tried[i / 2].each,
                                   .type = s->type,
                                   .rate = tried[i / 2].rate,
                                   .whole = i % 2,
                                   .stream = (int)i},
                  17000 + 2 * i);
    in_parts(s, false);
    in_parts(s, true);
    drawn_anew(s);
}
