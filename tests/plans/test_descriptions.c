/* What product_blas.c asks of cuBLASLt, given to the real library on a machine without a GPU: it
 * takes every description of an operation, a matrix and a preference, and fails where it must, at
 * the choice of an algorithm, for which it would need a GPU (the handle here is none). The library
 * is not in the process until it is called (cublaslt_library.c). */
#include "cuda/blas/product_blas.h"

#include "../unit/check.h"

#include <stdio.h>
#include <string.h>

static bool in_process(const char *library) {
    char line[1024];
    bool found = false;
    FILE *maps = fopen("/proc/self/maps", "r");
    CHECK(maps, "/proc/self/maps");
    while (maps && fgets(line, sizeof line, maps))
        found |= strstr(line, library) != NULL;
    if (maps)
        fclose(maps);
    return found;
}

static void try_product(dtype type, dtype result_type, bool tf32, int variant) {
    blas_product made;
    blas_algorithm_choice answers[BLAS_ANSWERS];
    ls_error error = {0};
    int count = 0;
    product_shape shape = {.rows = 64,
                           .columns = 10,
                           .inner = 512,
                           .left_transposed = variant & 1,
                           .right_transposed = variant & 2,
                           .type = type,
                           .result_type = result_type,
                           .tf32 = tf32,
                           .epilogue = (product_epilogue)(variant >> 2)};
    int status = blas_product_describe(&shape, &made, &error);
    CHECK(status == LS_OK, "described: %s", error.text);
    for (int wide = 0; wide < 2; wide++) {
        error = (ls_error){0};
        status = blas_product_ask(&made, NULL, wide, answers, &count, &error);
        CHECK(status == LS_FAILED && count == 0, "%d without a GPU", status);
        CHECK(strncmp(error.text, "choosing the algorithm", 22) == 0, "%s", error.text);
    }
    blas_product_destroy(&made);
}

int main(void) {
    CHECK(!in_process("libcublasLt"), "loaded with the program");
    CHECK(cublasLtGetVersion() / 10000 == CUBLAS_VER_MAJOR, "version %zu", cublasLtGetVersion());
    CHECK(in_process("libcublasLt"), "not loaded by a call");
    CHECK(strcmp(cublasLtGetStatusName(CUBLAS_STATUS_SUCCESS), "CUBLAS_STATUS_SUCCESS") == 0, "%s",
          cublasLtGetStatusName(CUBLAS_STATUS_SUCCESS));
    check_case("cuBLASLt is loaded by its first call");
    for (int variant = 0; variant < 16; variant++) {
        try_product(DTYPE_F32, DTYPE_F32, false, variant);
        try_product(DTYPE_F32, DTYPE_F32, true, variant);
        try_product(DTYPE_BF16, DTYPE_BF16, false, variant);
        try_product(DTYPE_BF16, DTYPE_F32, false, variant);
        try_product(DTYPE_F16, DTYPE_F16, false, variant);
        try_product(DTYPE_F16, DTYPE_F32, false, variant);
    }
    check_case("cuBLASLt takes the descriptions of all products");
    return check_done();
}
