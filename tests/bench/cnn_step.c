/* How fast the CNN's training step is: over oneDNN's own sgemm, and over a bare chain of the same
 * primitives, side by side in one process (round after round, so that whatever else the machine
 * does hits all three). Medians and ratios; the batch's uint8 images are read and converted inside
 * the step, as in training, while the bare chain gets them ready made.
 *
 *   cnn_step [THREADS [ROUNDS]] */
#include "cnn_step.h"
#include "bare_chain.h"
#include "base/clock.h"
#include "base/random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { BATCH = 64, IMAGE = 3 * 32 * 32, SGEMM = 2048, STEPS_A_ROUND = 3, MAX_ROUNDS = 1000 };
static const double FLOP_AN_IMAGE = 145.5e6; /* no gradient of the input */

static void must(int status, const ls_error *error) {
    if (status == LS_OK)
        return;
    fprintf(stderr, "cnn_step: %s\n", error->text);
    exit(status);
}

typedef struct data {
    uint8_t images[BATCH * IMAGE];
    float planes[BATCH * IMAGE];
    int32_t labels[BATCH];
} data;

static void fill(data *self) {
    for (int i = 0; i < BATCH * IMAGE; i += 4) {
        uint32_t bits[4];
        random_block(1, RANDOM_SYNTHETIC, 0, (uint64_t)i, bits);
        for (int k = 0; k < 4; k++)
            self->images[i + k] = (uint8_t)(bits[k] >> 24);
    }
    for (int n = 0; n < BATCH; n++) {
        self->labels[n] = n % CNN_CLASSES;
        for (int c = 0; c < 3; c++)
            for (int p = 0; p < 1024; p++)
                self->planes[(n * 3 + c) * 1024 + p] =
                    (float)self->images[n * IMAGE + p * 3 + c] * (2.0f / 255) - 1;
    }
}

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *values, int count) {
    qsort(values, (size_t)count, sizeof *values, by_value);
    return (values[(count - 1) / 2] + values[count / 2]) / 2;
}

static double steps_seconds(cnn_step *step, const data *in) {
    ls_error error = {0};
    double start = clock_seconds();
    for (int i = 0; i < STEPS_A_ROUND; i++)
        must(cnn_step_run(step, in->images, in->labels, &error), &error);
    return (clock_seconds() - start) / STEPS_A_ROUND;
}

static double chain_seconds(bare_chain *chain, const data *in, double *last_loss) {
    double start = clock_seconds();
    for (int i = 0; i < STEPS_A_ROUND; i++)
        *last_loss = bare_chain_step(chain, in->planes, in->labels);
    return (clock_seconds() - start) / STEPS_A_ROUND;
}

/* Both must have trained the same network: the chain may not be fast by doing less. */
static int same_loss(cnn_step *step, double chain_loss) {
    ls_error error = {0};
    loss_totals totals;
    must(cnn_step_take_totals(step, &totals, &error), &error);
    double loss = totals.loss_sum / (double)totals.samples;
    printf("loss after %d steps: lockstep %.5f, bare chain %.5f\n", STEPS_A_ROUND, loss,
           chain_loss);
    return fabs(loss - chain_loss) < 1e-3 * fabs(chain_loss);
}

static void report(int threads, int rounds, double *sgemm, double *step, double *chain,
                   double *over_sgemm, double *over_chain) {
    double gflop = FLOP_AN_IMAGE * BATCH / 1e9, sgemm_gflop = 2.0 * SGEMM * SGEMM * SGEMM / 1e9;
    double s = median(sgemm, rounds), l = median(step, rounds), c = median(chain, rounds);
    printf("batch %d, %d thread(s), fp32, medians of %d interleaved rounds\n", BATCH, threads,
           rounds);
    printf("%-22s %10s %10s %10s\n", "", "ms", "GFLOP/s", "images/s");
    printf("%-22s %10.2f %10.1f %10s\n", "oneDNN sgemm 2048", s * 1e3, sgemm_gflop / s, "");
    printf("%-22s %10.2f %10.1f %10.1f\n", "bare chain + Adam", c * 1e3, gflop / c, BATCH / c);
    printf("%-22s %10.2f %10.1f %10.1f\n", "lockstep step", l * 1e3, gflop / l, BATCH / l);
    printf("lockstep / sgemm       %.3f  (bar 0.85)\n", median(over_sgemm, rounds));
    printf("lockstep / bare chain  %.3f  (bar 0.95)\n", median(over_chain, rounds));
}

int main(int argc, char **argv) {
    static data in;
    static cnn_step step;
    static double sgemm[MAX_ROUNDS], mine[MAX_ROUNDS], chain[MAX_ROUNDS];
    static double over_sgemm[MAX_ROUNDS], over_chain[MAX_ROUNDS];
    int threads = argc > 1 ? atoi(argv[1]) : 1, rounds = argc > 2 ? atoi(argv[2]) : 15;
    if (threads < 1 || rounds < 1 || rounds > MAX_ROUNDS) {
        fprintf(stderr, "cnn_step: expected THREADS and ROUNDS (at most %d)\n", MAX_ROUNDS);
        return 2;
    }
    ls_error error = {0};
    fill(&in);
    must(cnn_step_open(&step, "cpu", PRECISION_FP32, threads, BATCH, &error), &error);
    float *parameters = calloc(step.graph.parameter_count, sizeof *parameters);
    if (!parameters)
        abort();
    network_initialise(&step.graph, 1, parameters);
    must(cnn_step_load(&step, parameters, &error), &error);
    bare_chain *bare = bare_chain_open(BATCH, parameters);
    double chain_loss, gflop = FLOP_AN_IMAGE * BATCH, sgemm_flop = 2.0 * SGEMM * SGEMM * SGEMM;
    must(cnn_step_run(&step, in.images, in.labels, &error), &error);
    must(cnn_step_run(&step, in.images, in.labels, &error), &error);
    loss_totals discard;
    must(cnn_step_take_totals(&step, &discard, &error), &error);
    must(cnn_step_run(&step, in.images, in.labels, &error), &error);
    chain_seconds(bare, &in, &chain_loss);
    int same = same_loss(&step, chain_loss);
    sgemm_seconds(SGEMM);
    for (int round = 0; round < rounds; round++) {
        sgemm[round] = sgemm_seconds(SGEMM);
        mine[round] = steps_seconds(&step, &in);
        chain[round] = chain_seconds(bare, &in, &chain_loss);
        over_sgemm[round] = (gflop / mine[round]) / (sgemm_flop / sgemm[round]);
        over_chain[round] = chain[round] / mine[round];
    }
    report(threads, rounds, sgemm, mine, chain, over_sgemm, over_chain);
    free(parameters);
    bare_chain_close(bare);
    cnn_step_close(&step);
    if (!same)
        fprintf(stderr, "cnn_step: the two do not train the same network\n");
    return same ? 0 : 1;
}
