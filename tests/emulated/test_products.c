/* Matrix products of the cuda device against sums in double, on the emulated cuBLASLt: every
 * placement of the factors, type and epilogue, at sizes that divide nothing, from pointers aligned
 * to 16 bytes and to one element. What is shown is that products are described rightly, not how
 * the real library rounds. */
#include "cuda/blas/product_way.h"
#include "cuda/choices/choices.h"
#include "product_fixture.h"

#include "../unit/check.h"

#include <stdio.h>
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
    product_operands operands = {
        .left = left.device,
        .right = right.device,
        .result = result.device,
        .vector = shape->epilogue == PRODUCT_PLAIN ? NULL : (float *)(void *)vector.device,
        .workspace = workspace};
    MUST(product_run(tested, stream, &operands, &error));
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

static device *opened(bool first_offer) {
    device *made = NULL;
    device_request request = {
        .local_size = 1, .threads = 1, .plan_cache = "", .first_offer = first_offer};
    MUST(device_open("cuda", &request, &made, &error));
    return made;
}

/* What a product of one shape says of itself there. */
static void describe_on(device *where, char out[160]) {
    product *made = NULL;
    product_shape shape = {.rows = 8,
                           .columns = 16,
                           .inner = 300,
                           .right_transposed = true,
                           .type = DTYPE_BF16,
                           .result_type = DTYPE_BF16,
                           .epilogue = PRODUCT_BIAS_RELU};
    MUST(product_create((cuda_device *)where, &shape, &made, &error));
    snprintf(out, 160, "%s", made ? product_describe(made) : "");
    product_destroy(made);
}

/* "(...)" at the end */
static void cut_source(char *text) {
    text[strcspn(text, "(")] = '\0';
}

/* The fastest by time is in the table, and with it every rank's: the texts that plan ids are made
 * of are equal. Where there is no time, or strictness, it is the heuristic's first. */
static void test_choice(void) {
    device *root = opened(false), *other = opened(false), *strict = opened(true);
    char timed[160], again[160], taken[160], first[160], *text = NULL;
    describe_on(root, timed);
    CHECK(strstr(timed, "(best of ") != NULL, "%s", timed);
    MUST(root->is->choices_export(root, &text, &error));
    CHECK(strstr(text, "\tproduct r8 c16 i300 nt bf16 bf16 epilogue 2 aligned 16\t") &&
              strstr(text, "\tcuBLASLt ") && strstr(text, " us\t"),
          "%s", text);
    describe_on(root, again);
    CHECK(strcmp(timed, again) == 0, "%s, then %s", timed, again);
    MUST(other->is->choices_import(other, text, &error));
    describe_on(other, taken);
    CHECK(strstr(taken, "(rank 0's)") != NULL, "%s", taken);
    cut_source(taken), cut_source(timed);
    CHECK(strcmp(taken, timed) == 0, "%s on rank 0, %s on another", timed, taken);
    describe_on(strict, first);
    CHECK(!strchr(first, '(') && strstr(first, "algorithm 66."), "%s", first);
    check_case("products are timed, and rank 0's choice is every rank's");

    choice nothing = {.text = "fused 9999 2=1", .source = "rank 0's"};
    device *third = opened(false);
    ((cuda_device *)third)->choosing.seconds_left = 0;
    describe_on(third, taken);
    CHECK(strcmp(taken, first) == 0 && third->refusals.count == 0, "%s without time", taken);
    MUST(choices_put(((cuda_device *)third)->choices, CHOICE_CUBLASLT,
                     "product r8 c16 i300 nt bf16 bf16 epilogue 2 aligned 16", &nothing, NULL,
                     &error));
    describe_on(third, taken);
    CHECK(strcmp(taken, first) == 0 && third->refusals.count == 1 &&
              strstr(third->refusals.lines[0], "does not offer the rank 0's choice fused 9999"),
          "%s, %d: %s", taken, third->refusals.count, third->refusals.lines[0]);
    check_case("an algorithm that is not offered: the heuristic's first, and said so");
    free(text);
    device_close(root), device_close(other), device_close(strict), device_close(third);
}

/* "fused ...", as the table has it, of an algorithm that splits nothing. */
static void write_unsplit(const product *of, char *text, size_t capacity) {
    const way_list *list = &of->lists[ALIGNED_16];
    text_buffer algorithm = {0};
    for (int index = 0; index < list->count && !algorithm.bytes; index++)
        if (list->ways[index].form == BY_LIBRARY && list->ways[index].choice.workspace_bytes == 0)
            blas_algorithm_write(&list->ways[index].choice, &algorithm);
    snprintf(text, capacity, "fused %s", algorithm.bytes ? algorithm.bytes : "");
    text_free(&algorithm);
}

/* Where the product before wrote no bits, a masked one takes another way than with them: it has the
 * workspace for the first of those, here a split one. */
static void test_without_bits(void) {
    product_shape shape = {.rows = 8,
                           .columns = 16,
                           .inner = 300,
                           .type = DTYPE_BF16,
                           .result_type = DTYPE_BF16,
                           .epilogue = PRODUCT_MASK};
    device *strict = opened(true);
    choice unsplit = {.source = "kept"};
    product *made = NULL;
    MUST(product_create((cuda_device *)strict, &shape, &made, &error));
    write_unsplit(made, unsplit.text, sizeof unsplit.text);
    product_destroy(made);
    for (int alignment = 16; alignment >= 2; alignment -= 14) {
        char key[CHOICE_KEY_BYTES];
        snprintf(key, sizeof key, "product r8 c16 i300 nn bf16 bf16 epilogue 5 aligned %d",
                 alignment);
        MUST(choices_put(((cuda_device *)strict)->choices, CHOICE_CUBLASLT, key, &unsplit, NULL,
                         &error));
    }
    MUST(product_create((cuda_device *)strict, &shape, &made, &error));
    const way_list *list = &made->lists[ALIGNED_16];
    int other = list->taken;
    while (list->ways[other].form == BY_LIBRARY)
        other++;
    size_t taken_bytes = product_way_bytes(made, &list->ways[list->taken]);
    size_t other_bytes = product_way_bytes(made, &list->ways[other]);
    CHECK(list->ways[list->taken].form == BY_LIBRARY && taken_bytes == 0, "%s: %zu bytes",
          product_describe(made), taken_bytes);
    CHECK(list->ways[other].form == BY_BOTH && other_bytes > 0 &&
              other_bytes <= product_workspace_bytes(made),
          "%zu bytes of workspace, without bits %zu are wanted", product_workspace_bytes(made),
          other_bytes);
    product_destroy(made);
    device_close(strict);
    check_case("a masked product has the workspace of its way without bits");
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
    test_choice();
    test_without_bits();
    gpu->is->stream_destroy(gpu, stream);
    device_close(gpu);
    return check_done();
}
