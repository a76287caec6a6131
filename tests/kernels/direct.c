/* Products and convolutions of our own: each result against the same sum in double, rounded once.
 */
#include "kit.h"

#include <math.h>
#include <stdlib.h>

/* An array of a type, on the host as the device has it. */
typedef struct operand {
    dtype type;
    void *host;
    memory there;
} operand;

static operand operand_new(dtype type, size_t count, uint64_t stream, size_t skew) {
    float *values = random_values(count, stream);
    operand self = {.type = type, .host = encoded(type, values, count)};
    self.there = memory_new(count * dtype_bytes(type), skew, self.host);
    free(values);
    return self;
}

static double value(const operand *self, size_t at) {
    return (double)get(self->type, self->host, at);
}

static void operand_free(operand *self) {
    memory_free(&self->there);
    free(self->host);
}

/* results[at] against what the operand of that type has on the device. */
static void compare(operand *results, size_t count, double (*expected)(const void *, size_t),
                    const void *context, const char *what) {
    memory_get(&results->there, results->host);
    for (size_t at = 0; at < count; at++) {
        float want[1];
        put(results->type, want, 0, (float)expected(context, at));
        float rounded = get(results->type, want, 0);
        double unit = results->type == DTYPE_F32    ? 0x1p-23
                      : results->type == DTYPE_BF16 ? 0x1p-7
                                                    : 0x1p-10;
        /* A sum in another order, or one contracted, may round the other way. */
        expect(fabs(value(results, at) - (double)rounded) <= unit * fabs((double)rounded) + 1e-7,
               "%s %zu is %.9g, expected %.9g", what, at, value(results, at), (double)rounded);
    }
}

typedef struct product_case {
    product_arguments of;
    operand left, right, bias;
    bool has_bias;
} product_case;

static double product_at(const void *context, size_t at) {
    const product_case *self = context;
    const product_arguments *of = &self->of;
    size_t row = at / (size_t)of->columns, column = at % (size_t)of->columns;
    size_t rows = (size_t)of->rows, columns = (size_t)of->columns, inner = (size_t)of->inner;
    double sum = self->has_bias ? value(&self->bias, column) : 0;
    for (size_t i = 0; i < inner; i++)
        sum +=
            value(&self->left, of->left_transposed ? i * rows + row : row * inner + i) *
            value(&self->right, of->right_transposed ? column * inner + i : i * columns + column);
    return of->relu && sum < 0 ? 0 : sum;
}

static void one_product(dtype type, dtype result_type, int variant, size_t skew) {
    product_case tested = {.of = {.rows = 19,
                                  .columns = 33,
                                  .inner = 21,
                                  .left_transposed = variant & 1,
                                  .right_transposed = variant & 2,
                                  .relu = variant & 4},
                           .has_bias = variant & 8};
    tested.left = operand_new(type, 19 * 21, 1, skew * dtype_bytes(type));
    tested.right = operand_new(type, 21 * 33, 2, 0);
    tested.bias = operand_new(DTYPE_F32, 33, 3, skew * sizeof(float));
    operand result = operand_new(result_type, 19 * 33, 4, skew * dtype_bytes(result_type));
    MUST(kernel_product(NULL, type, result_type, &tested.of, tested.left.there.at,
                        tested.right.there.at,
                        tested.has_bias ? (float *)tested.bias.there.at : NULL, result.there.at));
    compare(&result, 19 * 33, product_at, &tested, "product");
    operand_free(&tested.left), operand_free(&tested.right), operand_free(&tested.bias);
    operand_free(&result);
}

static double sum_at(const void *context, size_t at) {
    const product_case *self = context;
    double sum = value(&self->left, at) + value(&self->bias, at % (size_t)self->of.columns);
    return self->of.relu && sum < 0 ? 0 : sum;
}

static void one_bias(dtype type, bool relu) {
    product_case tested = {.of = {.rows = 19, .columns = 33, .relu = relu}};
    tested.left = operand_new(DTYPE_F32, 19 * 33, 5, 0);
    tested.bias = operand_new(DTYPE_F32, 33, 6, sizeof(float));
    operand result = operand_new(type, 19 * 33, 7, 0);
    MUST(kernel_add_bias(NULL, type, &tested.of, (float *)tested.left.there.at,
                         (float *)tested.bias.there.at, result.there.at));
    compare(&result, 19 * 33, sum_at, &tested, "sum");
    operand_free(&tested.left), operand_free(&tested.bias), operand_free(&result);
}

typedef struct convolution {
    direct_arguments of;
    operand x, weights, bias, y;
} convolution;

/* x's element that tap (r, s) of y's pixel (row, column) reads; -1: padding. */
static long input_place(const direct_arguments *of, int n, int row, int column, int r, int s,
                        int c) {
    int at_row = row * of->stride + r - of->padding, at = column * of->stride + s - of->padding;
    if (at_row < 0 || at_row >= of->height || at < 0 || at >= of->width)
        return -1;
    return (((long)n * of->height + at_row) * of->width + at) * of->channels + c;
}

/* Calls add for every product of the convolution, with the places of y, weights and x in it. */
#define FOR_EVERY_TERM(of, y_at, w_at, x_at, add)                                                  \
    for (int n = 0; n < (of)->n; n++)                                                              \
        for (int row = 0; row < (of)->out_height; row++)                                           \
            for (int column = 0; column < (of)->out_width; column++)                               \
                for (int k = 0; k < (of)->out_channels; k++)                                       \
                    for (int r = 0; r < (of)->kernel; r++)                                         \
                        for (int s = 0; s < (of)->kernel; s++)                                     \
                            for (int c = 0; c < (of)->channels; c++) {                             \
                                long x_at = input_place((of), n, row, column, r, s, c);            \
                                long y_at =                                                        \
                                    (((long)n * (of)->out_height + row) * (of)->out_width +        \
                                     column) *                                                     \
                                        (of)->out_channels +                                       \
                                    k;                                                             \
                                long w_at = (((long)k * (of)->kernel + r) * (of)->kernel + s) *    \
                                                (of)->channels +                                   \
                                            c;                                                     \
                                if (x_at >= 0)                                                     \
                                    add;                                                           \
                            }

static double listed(const void *context, size_t at) {
    return ((const double *)context)[at];
}

static void one_convolution(dtype type, int kernel, int stride, int padding, bool relu) {
    direct_arguments of = {.n = 2,
                           .height = 7,
                           .width = 6,
                           .channels = 3,
                           .out_height = (7 + 2 * padding - kernel) / stride + 1,
                           .out_width = (6 + 2 * padding - kernel) / stride + 1,
                           .out_channels = 5,
                           .kernel = kernel,
                           .stride = stride,
                           .padding = padding,
                           .relu = relu};
    size_t inputs = 2 * 7 * 6 * 3, taps = (size_t)(5 * kernel * kernel * 3);
    size_t outputs = (size_t)(2 * of.out_height * of.out_width * 5);
    operand x = operand_new(type, inputs, 11, 0), w = operand_new(type, taps, 12, 0);
    operand bias = operand_new(DTYPE_F32, 5, 13, sizeof(float)),
            dy = operand_new(type, outputs, 14, 0);
    operand y = operand_new(type, outputs, 15, 0), dx = operand_new(type, inputs, 16, 0);
    operand dw = operand_new(DTYPE_F32, taps, 17, sizeof(float));
    double *to_y = zeroed(outputs * sizeof *to_y), *to_x = zeroed(inputs * sizeof *to_x);
    double *to_w = zeroed(taps * sizeof *to_w);
    FOR_EVERY_TERM(&of, y_at, w_at, x_at,
                   (to_y[y_at] += value(&x, (size_t)x_at) * value(&w, (size_t)w_at),
                    to_x[x_at] += value(&dy, (size_t)y_at) * value(&w, (size_t)w_at),
                    to_w[w_at] += value(&dy, (size_t)y_at) * value(&x, (size_t)x_at)));
    for (size_t at = 0; at < outputs; at++) {
        to_y[at] += value(&bias, at % 5);
        to_y[at] = relu && to_y[at] < 0 ? 0 : to_y[at];
    }
    MUST(kernel_convolve(NULL, type, &of, x.there.at, w.there.at, (float *)bias.there.at,
                         y.there.at));
    MUST(kernel_convolve_back(NULL, type, &of, dy.there.at, w.there.at, dx.there.at));
    MUST(kernel_convolve_weights(NULL, type, &of, x.there.at, dy.there.at, DTYPE_F32, dw.there.at));
    compare(&y, outputs, listed, to_y, "y");
    compare(&dx, inputs, listed, to_x, "dx");
    compare(&dw, taps, listed, to_w, "dw");
    operand *all[] = {&x, &w, &bias, &dy, &y, &dx, &dw};
    for (size_t index = 0; index < sizeof all / sizeof all[0]; index++)
        operand_free(all[index]);
    free(to_y), free(to_x), free(to_w);
}

void test_direct(void) {
    for (size_t t = 0; t < 3; t++) {
        dtype type = every_type[t];
        for (int variant = 0; variant < 16; variant++) {
            one_product(type, type, variant, 0);
            one_product(type, DTYPE_F32, variant, 1);
        }
        one_bias(type, false), one_bias(type, true);
        case_done("our product of %s", dtype_name(type));
        one_convolution(type, 3, 1, 1, true);
        one_convolution(type, 3, 2, 0, false);
        one_convolution(type, 1, 2, 0, true);
        one_convolution(type, 5, 1, 2, false);
        case_done("our convolution of %s", dtype_name(type));
    }
}
