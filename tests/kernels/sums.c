/* Sums over blocks: against double, and twice with the same bits. `processors` decides how many
 * blocks there are, so it is varied: many of them, few with much to do each. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const int processors[] = {1, 5, 132};

/* --- column sums */

static void column_sums(dtype type, int gpu, size_t rows, int columns, size_t skew) {
    size_t count = rows * (size_t)columns, bytes = (size_t)columns * sizeof(float);
    float *values = random_values(count, 100 + rows);
    void *host = encoded(type, values, count);
    memory in = memory_new(count * dtype_bytes(type), skew, host), out = memory_new(bytes, 0, NULL);
    memory again = memory_new(bytes, 0, NULL);
    memory work = memory_new(kernel_column_sums_workspace(gpu, type, rows, columns), 0, NULL);
    MUST(kernel_column_sums(NULL, gpu, type, in.at, rows, columns, (float *)out.at, work.at));
    MUST(kernel_column_sums(NULL, gpu, type, in.at, rows, columns, (float *)again.at, work.at));
    float *got = zeroed(bytes), *second = zeroed(bytes);
    memory_get(&out, got), memory_get(&again, second);
    expect(memcmp(got, second, bytes) == 0, "the second call gave other bits");
    /* Each of `rows` additions rounds a partial sum of at most about sqrt(rows) by 2^-24 of it. */
    double tolerance = 0x1p-22 * ((double)rows + 4);
    for (int c = 0; c < columns; c++) {
        double want = 0;
        for (size_t r = 0; r < rows; r++)
            want += (double)get(type, host, r * (size_t)columns + (size_t)c);
        expect(fabs((double)got[c] - want) <= tolerance, "column %d is %.9g, expected %.9g", c,
               (double)got[c], want);
    }
    memory_free(&in), memory_free(&out), memory_free(&again), memory_free(&work);
    free(values), free(host), free(got), free(second);
}

void test_column_sums(void) {
    static const struct {
        size_t rows;
        int columns;
    } sizes[] = {{0, 3},    {1, 1},    {1, 300},  {7, 10},    {64, 512},  {65, 8},
                 {333, 37}, {777, 64}, {2049, 4}, {1000, 72}, {4099, 24}, {301, 1031}};
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            for (size_t p = 0; p < 3; p++) {
                column_sums(every_type[t], processors[p], sizes[i].rows, sizes[i].columns, 0);
                column_sums(every_type[t], processors[p], sizes[i].rows, sizes[i].columns,
                            dtype_bytes(every_type[t]));
            }
            case_done("column sums of %s [%zu, %d]", dtype_name(every_type[t]), sizes[i].rows,
                      sizes[i].columns);
        }
}

/* --- sums of squares */

static void sums_of_squares(const float *values, size_t count, size_t skew, double *out) {
    size_t bytes = squares_grains(count) * sizeof *out;
    memory in = memory_new(count * sizeof(float), skew, values), sums = memory_new(bytes, 0, NULL);
    MUST(kernel_sums_of_squares(NULL, (const float *)in.at, count, (double *)sums.at));
    memory_get(&sums, out);
    memory_free(&in), memory_free(&sums);
}

void test_sums_of_squares(void) {
    static const size_t counts[] = {1, 3, 1023, 1024, 4097, 50001};
    static double got[50001 / SQUARES_GRAIN + 1], skewed[50001 / SQUARES_GRAIN + 1];
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        float *values = random_values(counts[i], 200 + i);
        sums_of_squares(values, counts[i], 0, got);
        sums_of_squares(values, counts[i], 4, skewed);
        for (size_t grain = 0; grain < squares_grains(counts[i]); grain++) {
            double want = 0;
            for (size_t k = grain * SQUARES_GRAIN; k < counts[i] && k < (grain + 1) * SQUARES_GRAIN;
                 k++)
                want += (double)values[k] * (double)values[k];
            /* An addition in double rounds by 2^-53; all terms are positive. */
            expect(fabs(got[grain] - want) <= SQUARES_GRAIN * 0x1p-52 * want,
                   "grain %zu: %.17g, expected %.17g", grain, got[grain], want);
            expect(got[grain] == skewed[grain], "grain %zu has other bits elsewhere", grain);
        }
        free(values);
        case_done("sums of squares of %zu", counts[i]);
    }
}

/* --- the loss: the same totals from one block as from many */

typedef struct loss_rows {
    int n, classes;
    float *logits;
    int32_t *labels;
    void *host; /* the logits in their type */
} loss_rows;

static loss_totals totals_of(const loss_rows *rows, dtype type, int gpu, const memory *scratch) {
    size_t bytes = (size_t)rows->n * (size_t)rows->classes * dtype_bytes(type);
    loss_totals sum = {.loss_sum = 100.5, .correct = 7, .samples = 9};
    memory logits = memory_new(bytes, 0, rows->host);
    memory labels = memory_new((size_t)rows->n * sizeof *rows->labels, 0, rows->labels);
    memory totals = memory_new(sizeof sum, 0, &sum);
    loss_arguments arguments = {.n = rows->n,
                                .classes = rows->classes,
                                .type = type,
                                .logits = logits.at,
                                .labels = (const int32_t *)labels.at,
                                .gradient_scale = 1,
                                .totals = (loss_totals *)totals.at};
    MUST(kernel_softmax_cross_entropy(NULL, gpu, &arguments, scratch->at));
    memory_get(&totals, &sum);
    memory_free(&logits), memory_free(&labels), memory_free(&totals);
    return sum;
}

/* How many classes come before the label's. */
static int place_of(const loss_rows *rows, dtype type, int row) {
    size_t first = (size_t)row * (size_t)rows->classes;
    float own = get(type, rows->host, first + (size_t)rows->labels[row]);
    int before = 0;
    for (int c = 0; c < rows->classes; c++) {
        float z = get(type, rows->host, first + (size_t)c);
        before += z > own || (z == own && c < rows->labels[row]);
    }
    return before;
}

static loss_totals totals_in_double(const loss_rows *rows, dtype type) {
    loss_totals want = {.loss_sum = 100.5, .correct = 7, .samples = 9 + rows->n};
    for (int i = 0; i < rows->n; i++) {
        size_t first = (size_t)i * (size_t)rows->classes;
        double sum = 0, label = (double)get(type, rows->host, first + (size_t)rows->labels[i]);
        int best = 0;
        for (int c = 0; c < rows->classes; c++) {
            float z = get(type, rows->host, first + (size_t)c);
            sum += exp((double)z); /* of logits of at most 1 */
            if (z > get(type, rows->host, first + (size_t)best))
                best = c;
        }
        want.loss_sum += log(sum) - label;
        want.correct += best == rows->labels[i];
        want.among_five += place_of(rows, type, i) < 5;
    }
    return want;
}

static void one_loss(dtype type, int n, int classes, const memory *scratch) {
    size_t count = (size_t)n * (size_t)classes;
    loss_rows rows = {n, classes, random_values(count, 300 + (uint64_t)n), NULL, NULL};
    rows.labels = zeroed((size_t)n * sizeof *rows.labels);
    for (int i = 0; i < n; i++)
        rows.labels[i] = i * 7 % classes;
    rows.host = encoded(type, rows.logits, count);
    loss_totals want = totals_in_double(&rows, type);
    for (size_t p = n > 2000 ? 2 : 0; p < 3; p++) {
        loss_totals got = totals_of(&rows, type, processors[p], scratch);
        loss_totals again = totals_of(&rows, type, processors[p], scratch);
        expect(memcmp(&got, &again, sizeof got) == 0, "the second call gave other bits");
        expect(got.correct == want.correct && got.samples == want.samples,
               "%lld of %lld correct, expected %lld of %lld", (long long)got.correct,
               (long long)got.samples, (long long)want.correct, (long long)want.samples);
        expect(got.among_five == want.among_five, "%lld among five, expected %lld",
               (long long)got.among_five, (long long)want.among_five);
        /* Exponentials, their sum and its logarithm in fp32: a few 2^-24 of log(classes) + 2. */
        double tolerance = 0x1p-21 * n * (log(classes) + 2);
        expect(fabs(got.loss_sum - want.loss_sum) <= tolerance, "loss %.12g, expected %.12g",
               got.loss_sum, want.loss_sum);
    }
    free(rows.logits), free(rows.labels), free(rows.host);
}

void test_loss_over_blocks(void) {
    static const int sizes[][2] = {
        {1, 1},    {64, 10},   {2000, 10}, {17000, 3}, {777, 16},
        {77, 100}, {33, 1000}, {9, 1003},  {2100, 100} /* over 256 blocks */};
    void *zero = zeroed(KERNEL_SCRATCH_BYTES);
    memory scratch = memory_new(KERNEL_SCRATCH_BYTES, 0, zero);
    for (size_t t = 0; t < 3; t++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            one_loss(every_type[t], sizes[i][0], sizes[i][1], &scratch);
            case_done("cross-entropy of %s [%d, %d], few and many blocks",
                      dtype_name(every_type[t]), sizes[i][0], sizes[i][1]);
        }
    memory_free(&scratch);
    free(zero);
}
