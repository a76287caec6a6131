/* Matrix products of the cuda device against sums in double, on the emulated cuBLASLt: every
 * placement of the factors, type and epilogue, at sizes that divide nothing, from pointers aligned
 * to 16 bytes and to one element. What is shown is that products are described rightly, not how
 * the real library rounds. */
#include "product.h"
#include "product_fixture.h"

#include "../unit/check.h"

#include <stdlib.h>
#include <string.h>

#define MUST(call)                                                                                 \
    do {                                                                                           \
        ls_error error = {0};                                                                      \
        int status = (call);                                                                       \
        CHECK(status == LS_OK, "%d: %s", status, error.text);                                      \
    } while (0)

static device *gpu;
static device_stream *stream;

static double left_at(const product_shape *shape, const array *left, int row, int inner) {
    return left
        ->values[shape->left_transposed ? inner * shape->rows + row : row * shape->inner + inner];
}

static double right_at(const product_shape *shape, const array *right, int inner, int column) {
    return right->values[shape->right_transposed ? column * shape->inner + inner
                                                 : inner * shape->columns + column];
}

static double expected_at(const product_shape *shape, const array *left, const array *right,
                          const array *vector, int row, int column) {
    double sum = 0;
    for (int inner = 0; inner < shape->inner; inner++)
        sum += left_at(shape, left, row, inner) * right_at(shape, right, inner, column);
    if (shape->epilogue == PRODUCT_BIAS || shape->epilogue == PRODUCT_BIAS_RELU)
        sum += vector->values[column];
    return shape->epilogue == PRODUCT_BIAS_RELU && sum < 0 ? 0 : sum;
}

static void compare(const product_shape *shape, const array *left, const array *right,
                    const array *bias, array *result, array *vector) {
    int wrong = 0;
    array_read(gpu, stream, result), array_read(gpu, stream, vector);
    for (int row = 0; row < shape->rows; row++) {
        for (int column = 0; column < shape->columns; column++)
            wrong +=
                !rounded_once(shape->result_type, result->values[row * shape->columns + column],
                              expected_at(shape, left, right, bias, row, column));
        double sum = 0;
        for (int inner = 0; inner < shape->inner; inner++)
            sum += left_at(shape, left, row, inner);
        if (shape->epilogue == PRODUCT_LEFT_SUMS)
            wrong += !rounded_once(DTYPE_F32, vector->values[row], sum);
    }
    CHECK(wrong == 0, "%d wrong of [%d, %d] x [%d, %d], %s to %s, epilogue %d", wrong, shape->rows,
          shape->inner, shape->inner, shape->columns, dtype_name(shape->type),
          dtype_name(shape->result_type), shape->epilogue);
}

static void run(const product_shape *shape, size_t offset) {
    product *tested = NULL;
    bool sums = shape->epilogue == PRODUCT_LEFT_SUMS;
    if (sums && !shape->left_transposed)
        return;
    MUST(product_create((cuda_device *)gpu, shape, &tested, &error));
    array left =
        array_new(gpu, stream, shape->type, (size_t)shape->rows * (size_t)shape->inner, offset);
    array right =
        array_new(gpu, stream, shape->type, (size_t)shape->inner * (size_t)shape->columns, 0);
    array result = array_new(gpu, stream, shape->result_type,
                             (size_t)shape->rows * (size_t)shape->columns, offset);
    array vector =
        array_new(gpu, stream, DTYPE_F32, (size_t)(sums ? shape->rows : shape->columns), offset);
    array bias = vector;
    bias.values = malloc(vector.count * sizeof *bias.values);
    memcpy(bias.values, vector.values, vector.count * sizeof *bias.values);
    void *workspace = NULL;
    size_t bytes = product_workspace_bytes(tested);
    if (bytes)
        MUST(gpu->is->allocate(gpu, bytes, "workspace", &workspace, &error));
    MUST(product_run(tested, stream, left.device, right.device, result.device,
                     shape->epilogue == PRODUCT_PLAIN ? NULL : (float *)(void *)vector.device,
                     workspace, &error));
    compare(shape, &left, &right, &bias, &result, &vector);
    gpu->is->release(gpu, workspace);
    free(bias.values);
    array_free(gpu, &left), array_free(gpu, &right), array_free(gpu, &result),
        array_free(gpu, &vector);
    product_destroy(tested);
}

static void test_type(const char *name, dtype type, dtype result_type, bool tf32) {
    /* The last is split over its inner dimension by the emulated library. */
    static const int sizes[][3] = {{1, 1, 1}, {3, 10, 7}, {17, 5, 33}, {8, 16, 24}, {5, 10, 300}};
    for (size_t size = 0; size < sizeof sizes / sizeof sizes[0]; size++)
        for (int variant = 0; variant < 32; variant++) {
            product_shape shape = {.rows = sizes[size][0],
                                   .columns = sizes[size][1],
                                   .inner = sizes[size][2],
                                   .left_transposed = variant & 1,
                                   .right_transposed = variant & 2,
                                   .type = type,
                                   .result_type = result_type,
                                   .tf32 = tf32,
                                   .epilogue = (product_epilogue)(variant >> 3)};
            run(&shape, variant & 4 ? 1 : 0);
        }
    check_case(name);
}

/* What no GPU can do is refused as it is prepared. */
static void test_refusal(void) {
    ls_error error = {0};
    product *made = NULL;
    product_shape shape = {
        .rows = 4, .columns = 4, .inner = 4, .type = DTYPE_F32, .result_type = DTYPE_BF16};
    int status = product_create((cuda_device *)gpu, &shape, &made, &error);
    CHECK(status == LS_FAILED && !made &&
              strstr(error.text, "no product of fp32 has a result in bf16"),
          "%d: %s", status, error.text);
    check_case("a product that nobody computes");
}

int main(void) {
    device_request request = {.local_size = 1, .threads = 1, .plan_cache = ""};
    MUST(device_open("cuda", &request, &gpu, &error));
    if (!gpu)
        return 1;
    MUST(gpu->is->stream_create(gpu, &stream, &error));
    test_type("fp32", DTYPE_F32, DTYPE_F32, false);
    test_type("tf32", DTYPE_F32, DTYPE_F32, true);
    test_type("bf16", DTYPE_BF16, DTYPE_BF16, false);
    test_type("bf16 to fp32", DTYPE_BF16, DTYPE_F32, false);
    test_type("fp16", DTYPE_F16, DTYPE_F16, false);
    test_type("fp16 to fp32", DTYPE_F16, DTYPE_F32, false);
    test_refusal();
    gpu->is->stream_destroy(gpu, stream);
    device_close(gpu);
    return check_done();
}
