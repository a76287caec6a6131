/* cuDNN's stand-in: the convolutions. Small ones are `ref`'s own functions, the truth. For larger
 * ones those take minutes, so there are loops that do the same sums, in double and rounded once,
 * in an order that a compiler vectorises: the channels of the result run innermost. Tests compare
 * both (test_convolution.c). cuDNN itself adds in fp32, in other orders. */
#include "cudnn_emulated.h"
#include "hot.h"

#include "device/ref/ref.h"
#include "tests/support/op_calls.h"

#include <stdlib.h>
#include <string.h>

/* Multiplications and additions that `ref` is given. */
#define REF_MOST_PRODUCTS 200000.0

static void *allocate(size_t bytes) {
    void *made = calloc(bytes ? bytes : 1, 1);
    if (!made)
        abort();
    return made;
}

static dtype type_in_memory(const dnn_tensor *tensor) {
    return tensor->type == CUDNN_DATA_BFLOAT16 ? DTYPE_BF16
           : tensor->type == CUDNN_DATA_HALF   ? DTYPE_F16
                                               : DTYPE_F32;
}

static size_t element_count(const dnn_tensor *tensor) {
    return dnn_tensor_bytes(tensor) / dtype_bytes(type_in_memory(tensor));
}

/* To nearest even in 10 bits of fraction, as a tensor core takes a factor in tf32. */
static double to_tf32(double value) {
    uint32_t bits = float_bits((float)value);
    if ((bits & 0x7f800000u) != 0x7f800000u)
        bits += 0xfffu + (bits >> 13 & 1);
    return (double)float_of_bits(bits & ~0x1fffu);
}

static double *unpack(const dnn_tensor *tensor, const void *from, bool tf32) {
    size_t count = element_count(tensor);
    dtype type = type_in_memory(tensor);
    double *to = allocate(count * sizeof *to);
    for (size_t index = 0; index < count; index++) {
        double value = ref_load(type, from, index);
        to[index] = tf32 ? to_tf32(value) : value;
    }
    return to;
}

static void pack(const dnn_tensor *tensor, void *to, const double *from) {
    size_t count = element_count(tensor);
    for (size_t index = 0; index < count; index++)
        ref_store(type_in_memory(tensor), to, index, from[index]);
}

/* fp32 copies for `ref`, whose weights and biases are fp32. */
static float *unpack_float(const dnn_tensor *tensor, const void *from) {
    size_t count = element_count(tensor);
    float *to = allocate(count * sizeof *to);
    for (size_t index = 0; index < count; index++)
        to[index] = (float)ref_load(type_in_memory(tensor), from, index);
    return to;
}

static void compute_by_ref(const dnn_problem *problem, const dnn_memory *memory) {
    const conv2d_shape *shape = &problem->shape;
    ls_error error = {0};
    plan *plan;
    float *w = unpack_float(&problem->w, memory->w);
    if (ref_prepare(&op_conv2d, shape, &plan, &error) != LS_OK)
        emulated_violation("cudnn: %s", error.text);
    if (problem->direction == DNN_FORWARD) {
        float *bias = problem->has_bias ? unpack_float(&problem->bias, memory->bias)
                                        : allocate((size_t)shape->out_channels * sizeof *bias);
        weighted_forward(plan, NULL, memory->x, w, NULL, bias, memory->y, NULL, &error);
        free(bias);
    } else if (problem->direction == DNN_BACKWARD_DATA) {
        weighted_backward_inputs(plan, NULL, memory->y, w, NULL, memory->x, NULL, &error);
    } else {
        float *dbias = allocate((size_t)shape->out_channels * sizeof *dbias);
        weighted_backward_parameters(plan, NULL, memory->x, memory->y, w, dbias, NULL, &error);
        for (size_t index = 0; index < element_count(&problem->w); index++)
            ref_store(type_in_memory(&problem->w), memory->w, index, (double)w[index]);
        free(dbias);
    }
    free(w);
    plan_release(plan);
}

/* [rows, columns] -> [columns, rows] */
static double *transposed(const double *from, size_t rows, size_t columns) {
    double *to = allocate(rows * columns * sizeof *to);
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            to[column * rows + row] = from[row * columns + column];
    return to;
}

HOT static inline void add_scaled(double *restrict to, const double *restrict from, double factor,
                                  int count) {
    for (int index = 0; index < count; index++)
        to[index] += factor * from[index];
}

/* Calls `visit` for each pair of an output position and a tap that lies inside the input: `in` and
 * `out` are the indices of their first channels, `tap` is kh * kernel + kw. */
typedef void visit_pair(const conv2d_shape *shape, const double *a, const double *b, double *result,
                        size_t in, size_t out, size_t tap);

HOT static void for_each_pair(const dnn_problem *problem, visit_pair *visit, const double *a,
                              const double *b, double *result) {
    const conv2d_shape *shape = &problem->shape;
    int out_height = (int)problem->y.sizes[2], out_width = (int)problem->y.sizes[3];
    for (int n = 0; n < shape->n; n++)
        for (int oh = 0; oh < out_height; oh++)
            for (int ow = 0; ow < out_width; ow++)
                for (int tap = 0; tap < shape->kernel * shape->kernel; tap++) {
                    int h = oh * shape->stride + tap / shape->kernel - shape->padding;
                    int w = ow * shape->stride + tap % shape->kernel - shape->padding;
                    if (h < 0 || h >= shape->height || w < 0 || w >= shape->width)
                        continue;
                    size_t in =
                        ((size_t)n * (size_t)shape->height + (size_t)h) * (size_t)shape->width +
                        (size_t)w;
                    size_t out = ((size_t)n * (size_t)out_height + (size_t)oh) * (size_t)out_width +
                                 (size_t)ow;
                    visit(shape, a, b, result, in * (size_t)shape->in_channels,
                          out * (size_t)shape->out_channels, (size_t)tap);
                }
}

/* x, w [tap, in, out] -> y */
WIDE static void forward_pair(const conv2d_shape *shape, const double *x, const double *w,
                              double *y, size_t in, size_t out, size_t tap) {
    size_t inputs = (size_t)shape->in_channels, outputs = (size_t)shape->out_channels;
    for (size_t c = 0; c < inputs; c++)
        add_scaled(&y[out], &w[(tap * inputs + c) * outputs], x[in + c], shape->out_channels);
}

/* dy, w [out, tap, in] -> dx */
WIDE static void data_pair(const conv2d_shape *shape, const double *dy, const double *w, double *dx,
                           size_t in, size_t out, size_t tap) {
    size_t inputs = (size_t)shape->in_channels, outputs = (size_t)shape->out_channels;
    size_t taps = (size_t)(shape->kernel * shape->kernel);
    for (size_t k = 0; k < outputs; k++)
        add_scaled(&dx[in], &w[(k * taps + tap) * inputs], dy[out + k], shape->in_channels);
}

/* x, dy -> dw [tap, in, out] */
WIDE static void weights_pair(const conv2d_shape *shape, const double *x, const double *dy,
                              double *dw, size_t in, size_t out, size_t tap) {
    size_t inputs = (size_t)shape->in_channels, outputs = (size_t)shape->out_channels;
    for (size_t c = 0; c < inputs; c++)
        add_scaled(&dw[(tap * inputs + c) * outputs], &dy[out], x[in + c], shape->out_channels);
}

static void finish_forward(const dnn_problem *problem, const dnn_memory *memory, double *y) {
    size_t outputs = (size_t)problem->shape.out_channels;
    double *bias = problem->has_bias ? unpack(&problem->bias, memory->bias, false)
                                     : allocate(outputs * sizeof *bias);
    for (size_t index = 0; index < element_count(&problem->y); index++) {
        y[index] += bias[index % outputs];
        if (problem->shape.activation && y[index] < 0)
            y[index] = 0;
    }
    free(bias);
}

static void compute_fast(const dnn_problem *problem, bool tf32, const dnn_memory *memory) {
    const conv2d_shape *shape = &problem->shape;
    size_t outputs = (size_t)shape->out_channels;
    size_t inner = element_count(&problem->w) / outputs; /* taps * inputs */
    bool forward = problem->direction == DNN_FORWARD;
    const dnn_tensor *out = forward                                   ? &problem->y
                            : problem->direction == DNN_BACKWARD_DATA ? &problem->x
                                                                      : &problem->w;
    void *to = forward                                   ? memory->y
               : problem->direction == DNN_BACKWARD_DATA ? memory->x
                                                         : memory->w;
    double *x = out == &problem->x ? NULL : unpack(&problem->x, memory->x, tf32);
    double *w = out == &problem->w ? NULL : unpack(&problem->w, memory->w, tf32);
    double *y = out == &problem->y ? NULL : unpack(&problem->y, memory->y, tf32);
    double *result = allocate(element_count(out) * sizeof *result);
    if (forward) {
        double *turned = transposed(w, outputs, inner);
        for_each_pair(problem, forward_pair, x, turned, result);
        finish_forward(problem, memory, result);
        free(turned);
    } else if (problem->direction == DNN_BACKWARD_DATA) {
        for_each_pair(problem, data_pair, y, w, result);
    } else {
        for_each_pair(problem, weights_pair, x, y, result);
        double *turned = transposed(result, inner, outputs);
        free(result);
        result = turned;
    }
    pack(out, to, result);
    free(result);
    free(y);
    free(w);
    free(x);
}

static bool is_zero(const dnn_tensor *tensor, const void *memory) {
    const char *bytes = memory;
    size_t count = dnn_tensor_bytes(tensor);
    return bytes[0] == 0 && memcmp(bytes, bytes + 1, count - 1) == 0;
}

/* Timing runs on zeros, many times: what they make needs no sums. */
static bool compute_zeros(const dnn_problem *problem, const dnn_memory *memory) {
    bool forward = problem->direction == DNN_FORWARD;
    if (forward) {
        if (!is_zero(&problem->x, memory->x) || !is_zero(&problem->w, memory->w) ||
            (problem->has_bias && !is_zero(&problem->bias, memory->bias)))
            return false;
        memset(memory->y, 0, dnn_tensor_bytes(&problem->y));
    } else if (problem->direction == DNN_BACKWARD_DATA) {
        if (!is_zero(&problem->y, memory->y) || !is_zero(&problem->w, memory->w))
            return false;
        memset(memory->x, 0, dnn_tensor_bytes(&problem->x));
    } else {
        if (!is_zero(&problem->x, memory->x) || !is_zero(&problem->y, memory->y))
            return false;
        memset(memory->w, 0, dnn_tensor_bytes(&problem->w));
    }
    return true;
}

void dnn_compute(const dnn_problem *problem, bool tf32, const dnn_memory *memory) {
    double products = (double)element_count(&problem->y) *
                      (double)(element_count(&problem->w) / (size_t)problem->shape.out_channels);
    if (compute_zeros(problem, memory))
        return;
    if (products <= REF_MOST_PRODUCTS && !tf32)
        compute_by_ref(problem, memory);
    else
        compute_fast(problem, tf32, memory);
}
