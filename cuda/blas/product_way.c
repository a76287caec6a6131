#include "cuda/blas/product_way.h"
#include "cuda/kernels/kernels.h"

#include <stdio.h>

/* The bias as cuBLASLt wants it, or the sums before it is added to them. */
static size_t staged_bytes(const product_shape *shape, product_form form) {
    if (!product_has_bias(shape) || shape->result_type == DTYPE_F32 || form == BY_KERNEL)
        return 0;
    return form == BY_LIBRARY
               ? product_aligned((size_t)shape->columns * dtype_bytes(shape->result_type))
               : product_aligned((size_t)shape->rows * (size_t)shape->columns * sizeof(float));
}

size_t product_way_bytes(const product *self, const product_way *way) {
    const product_shape *shape = &self->shape;
    size_t library = way->form == BY_KERNEL ? 0 : way->choice.workspace_bytes;
    size_t sums = 0; /* before or after the product */
    if (shape->epilogue == PRODUCT_LEFT_SUMS && way->form != BY_LIBRARY)
        sums = kernel_column_sums_workspace(self->device->multiprocessors, shape->type,
                                            (size_t)shape->inner, shape->rows);
    return staged_bytes(shape, way->form) + (library > sums ? library : sums);
}

static product_arguments arguments_of(const product_shape *shape) {
    return (product_arguments){.rows = shape->rows,
                               .columns = shape->columns,
                               .inner = shape->inner,
                               .left_transposed = shape->left_transposed,
                               .right_transposed = shape->right_transposed,
                               .relu = shape->epilogue == PRODUCT_BIAS_RELU ||
                                       shape->epilogue == PRODUCT_BIAS_RELU_BITS};
}

static int run_library(product *self, const product_way *way, cudaStream_t stream,
                       const product_operands *call, ls_error *error) {
    const product_shape *shape = &self->shape;
    size_t staged = staged_bytes(shape, BY_LIBRARY);
    void *vector = call->vector;
    if (staged && call->low_bias) {
        vector = (void *)call->low_bias; /* only read */
    } else if (staged) {
        vector = call->workspace;
        CUDA_TRY(kernel_cast(stream, (size_t)shape->columns, DTYPE_F32, call->vector,
                             shape->result_type, vector),
                 "rounding a bias");
    }
    return blas_product_run(&self->asked[BY_LIBRARY], self->device->blas, stream, &way->choice,
                            call->left, call->right, call->result, vector, call->bits,
                            (char *)call->workspace + staged, error);
}

static int add_left_sums(product *self, cudaStream_t stream, const product_operands *call,
                         ls_error *error) {
    const product_shape *shape = &self->shape;
    CUDA_TRY(kernel_column_sums(stream, self->device->multiprocessors, shape->type, call->left,
                                (size_t)shape->inner, shape->rows, call->vector, call->workspace),
             "adding up the gradient of a bias");
    return LS_OK;
}

static int mask(const product *self, cudaStream_t stream, const product_operands *call,
                ls_error *error) {
    const product_shape *shape = &self->shape;
    CUDA_TRY(kernel_relu_backward(stream, shape->result_type,
                                  (size_t)shape->rows * (size_t)shape->columns, call->masked_by,
                                  call->result),
             "masking a product");
    return LS_OK;
}

static int run_both(product *self, const product_way *way, cudaStream_t stream,
                    const product_operands *call, ls_error *error) {
    const product_shape *shape = &self->shape;
    product_arguments of = arguments_of(shape);
    size_t staged = staged_bytes(shape, BY_BOTH);
    void *sums = staged ? call->workspace : call->result;
    LS_TRY(blas_product_run(&self->asked[BY_BOTH], self->device->blas, stream, &way->choice,
                            call->left, call->right, sums, NULL, NULL,
                            (char *)call->workspace + staged, error));
    if (shape->epilogue == PRODUCT_LEFT_SUMS)
        return add_left_sums(self, stream, call, error);
    if (shape->epilogue == PRODUCT_MASK)
        return mask(self, stream, call, error);
    CUDA_TRY(kernel_add_bias(stream, shape->result_type, &of, sums, call->vector, call->result),
             "adding a bias");
    return LS_OK;
}

static int run_kernel(product *self, cudaStream_t stream, const product_operands *call,
                      ls_error *error) {
    const product_shape *shape = &self->shape;
    product_arguments of = arguments_of(shape);
    CUDA_TRY(kernel_product(stream, shape->type, shape->result_type, &of, call->left, call->right,
                            product_has_bias(shape) ? call->vector : NULL, call->result),
             "a matrix product by a kernel of ours");
    if (shape->epilogue == PRODUCT_MASK)
        return mask(self, stream, call, error);
    return shape->epilogue == PRODUCT_LEFT_SUMS ? add_left_sums(self, stream, call, error) : LS_OK;
}

int product_way_run(product *self, const product_way *way, cudaStream_t stream,
                    const product_operands *call, ls_error *error) {
    switch (way->form) {
    case BY_LIBRARY:
        return run_library(self, way, stream, call, error);
    case BY_BOTH:
        return run_both(self, way, stream, call, error);
    default:
        return run_kernel(self, stream, call, error);
    }
}

void product_way_describe(const product *self, const product_way *way, char *out, size_t capacity) {
    product_epilogue epilogue = self->shape.epilogue;
    char algorithm[64];
    if (way->form == BY_KERNEL) {
        snprintf(out, capacity, "a kernel of ours");
        return;
    }
    blas_algorithm_describe(&way->choice, algorithm, sizeof algorithm);
    const char *rest = way->form == BY_BOTH ? (product_has_bias(&self->shape) ? ", bias by a kernel"
                                               : epilogue == PRODUCT_MASK     ? ", mask by a kernel"
                                                                          : ", sums by a kernel")
                       : epilogue == PRODUCT_LEFT_SUMS ? " with bias"
                                                       : "";
    snprintf(out, capacity, "%s%s", algorithm, rest);
}
