/* cuDNN's stand-in: graphs that are no convolution, such as attention's: matrix products, pointwise
 * operations, reductions and transpositions, done one after the other as the graph has them, in
 * double and rounded where a tensor's type says so. Which of them the real library has engines for
 * is shown by tests/plans. */
#include "cudnn_emulated.h"
#include "hot.h"

#include "device/ref/ref.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- what the graph says */

static dnn_operand *operand_of(dnn_operations *self, const dnn_descriptor *from) {
    dnn_tensor tensor = dnn_read_tensor(from);
    for (int index = 0; index < self->operand_count; index++)
        if (self->operands[index].tensor.uid == tensor.uid)
            return &self->operands[index];
    if (self->operand_count == DNN_OPERANDS)
        emulated_violation("cudnn: a graph of more than %d tensors", DNN_OPERANDS);
    dnn_operand *made = &self->operands[self->operand_count++];
    int64_t count;
    const bool *by_value = dnn_find(from, CUDNN_ATTR_TENSOR_IS_BY_VALUE, &count);
    *made = (dnn_operand){.tensor = tensor, .is_value = by_value && *by_value};
    return made;
}

static int number_of(dnn_operations *self, const dnn_descriptor *of,
                     cudnnBackendAttributeName_t name) {
    const dnn_descriptor *tensor = dnn_reference(of, name);
    return tensor ? (int)(operand_of(self, tensor) - self->operands) : -1;
}

static bool read_operation(dnn_operations *self, const dnn_descriptor *of, dnn_operation *out) {
    int64_t count;
    switch (of->type) {
    case CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR:
        *out = (dnn_operation){.kind = DNN_PRODUCT,
                               .from = number_of(self, of, CUDNN_ATTR_OPERATION_MATMUL_ADESC),
                               .with = number_of(self, of, CUDNN_ATTR_OPERATION_MATMUL_BDESC),
                               .to = number_of(self, of, CUDNN_ATTR_OPERATION_MATMUL_CDESC)};
        return true;
    case CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR:
        *out = (dnn_operation){.kind = DNN_POINTWISE,
                               .from = number_of(self, of, CUDNN_ATTR_OPERATION_POINTWISE_XDESC),
                               .with = number_of(self, of, CUDNN_ATTR_OPERATION_POINTWISE_BDESC),
                               .to = number_of(self, of, CUDNN_ATTR_OPERATION_POINTWISE_YDESC)};
        out->mode = *(const cudnnPointwiseMode_t *)dnn_find(
            dnn_reference(of, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR),
            CUDNN_ATTR_POINTWISE_MODE, &count);
        return true;
    case CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR:
        *out = (dnn_operation){.kind = DNN_REDUCTION,
                               .from = number_of(self, of, CUDNN_ATTR_OPERATION_REDUCTION_XDESC),
                               .with = -1,
                               .to = number_of(self, of, CUDNN_ATTR_OPERATION_REDUCTION_YDESC)};
        out->reduces = *(const cudnnReduceTensorOp_t *)dnn_find(
            dnn_reference(of, CUDNN_ATTR_OPERATION_REDUCTION_DESC), CUDNN_ATTR_REDUCTION_OPERATOR,
            &count);
        return true;
    case CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR:
        *out = (dnn_operation){.kind = DNN_RESHAPE,
                               .from = number_of(self, of, CUDNN_ATTR_OPERATION_RESHAPE_XDESC),
                               .with = -1,
                               .to = number_of(self, of, CUDNN_ATTR_OPERATION_RESHAPE_YDESC)};
        return true;
    default:
        return false;
    }
}

/* Nothing is read before it is written, or written twice. */
static bool comes_in_order(dnn_operations *self, const dnn_operation *of) {
    const int read[] = {of->from, of->with};
    for (int index = 0; index < 2; index++) {
        const dnn_operand *operand = read[index] < 0 ? NULL : &self->operands[read[index]];
        if (operand && operand->tensor.is_virtual && !operand->is_written)
            return false;
    }
    dnn_operand *to = &self->operands[of->to];
    if (to->is_written || to->is_value)
        return false;
    return to->is_written = true;
}

static bool broadcasts(const dnn_tensor *from, const dnn_tensor *to) {
    for (int index = 0; index < 4; index++)
        if (from->sizes[index] != to->sizes[index] && from->sizes[index] != 1)
            return false;
    return true;
}

static size_t count_of(const dnn_tensor *tensor) {
    return (size_t)(tensor->sizes[0] * tensor->sizes[1] * tensor->sizes[2] * tensor->sizes[3]);
}

/* [.., rows, inner] x [.., inner, columns]: cuDNN's fused engines round both factors to a 16 bit
 * type before they multiply; that they have it is the graph's to say. */
static void check_product(const dnn_tensor *left, const dnn_tensor *right, const dnn_tensor *to) {
    const int64_t *l = left->sizes, *r = right->sizes, *t = to->sizes;
    if (l[0] != t[0] || r[0] != t[0] || l[1] != t[1] || r[1] != t[1] || l[2] != t[2] ||
        l[3] != r[2] || r[3] != t[3])
        emulated_violation("cudnn: the sizes of a matrix product do not fit together");
    if (left->type != right->type)
        emulated_violation("cudnn: a product of two types");
}

static void check_sizes(const dnn_operations *self, const dnn_operation *of) {
    const dnn_tensor *from = &self->operands[of->from].tensor, *to = &self->operands[of->to].tensor;
    const dnn_tensor *with = of->with < 0 ? NULL : &self->operands[of->with].tensor;
    if (of->kind == DNN_PRODUCT) {
        check_product(from, with, to);
    } else if (of->kind == DNN_RESHAPE) {
        if (count_of(from) != count_of(to))
            emulated_violation("cudnn: a reshape to another number of elements");
    } else if (of->kind == DNN_REDUCTION ? !broadcasts(to, from)
                                         : !broadcasts(from, to) || (with && !broadcasts(with, to)))
        emulated_violation("cudnn: the sizes of an operation's tensors do not fit together");
}

cudnnStatus_t dnn_read_operations(dnn_descriptor *const *operations, int64_t count,
                                  dnn_operations *out) {
    if (count > DNN_OPERATIONS)
        return dnn_not_supported("more operations than the stand-in takes");
    for (int64_t index = 0; index < count; index++) {
        dnn_operation *of = &out->of[out->count];
        if (!read_operation(out, operations[index], of))
            return dnn_not_supported("an operation that the stand-in does not know");
        if (!comes_in_order(out, of))
            emulated_violation("cudnn: an operation reads what none before it wrote");
        check_sizes(out, of);
        out->count++;
    }
    return CUDNN_STATUS_SUCCESS;
}

/* --- memory */

size_t dnn_extent_bytes(const dnn_tensor *tensor) {
    int64_t last = 0;
    for (int index = 0; index < 4; index++)
        last += (tensor->sizes[index] - 1) * tensor->strides[index];
    return (size_t)(last + 1) * (tensor->type == CUDNN_DATA_FLOAT ? 4 : 2);
}

static dtype type_of(const dnn_tensor *tensor) {
    return tensor->type == CUDNN_DATA_BFLOAT16 ? DTYPE_BF16
           : tensor->type == CUDNN_DATA_HALF   ? DTYPE_F16
                                               : DTYPE_F32;
}

static double rounded(const dnn_tensor *tensor, double value) {
    char bytes[4];
    ref_store(type_of(tensor), bytes, 0, value);
    return ref_load(type_of(tensor), bytes, 0);
}

/* Where element `index`, counted along the sizes, lies. */
static size_t place_of(const dnn_tensor *tensor, size_t index) {
    size_t at = 0;
    for (int d = 3; d >= 0; d--) {
        at += index % (size_t)tensor->sizes[d] * (size_t)tensor->strides[d];
        index /= (size_t)tensor->sizes[d];
    }
    return at;
}

/* Its number in a tensor that has 1 where `of` has more. */
static size_t broadcast_place(const dnn_tensor *of, const dnn_tensor *small, size_t index) {
    size_t at = 0, stride = 1, of_dimension[4];
    for (int d = 3; d >= 0; d--) {
        of_dimension[d] = index % (size_t)of->sizes[d];
        index /= (size_t)of->sizes[d];
    }
    for (int d = 3; d >= 0; d--) {
        at += (small->sizes[d] == 1 ? 0 : of_dimension[d]) * stride;
        stride *= (size_t)small->sizes[d];
    }
    return at;
}

static double *new_values(const dnn_operand *operand) {
    double *made = calloc(count_of(&operand->tensor), sizeof *made);
    if (!made)
        abort();
    return made;
}

static double *loaded(const dnn_operand *operand, const void *memory) {
    double *made = new_values(operand);
    for (size_t index = 0; index < count_of(&operand->tensor); index++)
        made[index] = operand->is_value ? (double)operand->value
                                        : ref_load(type_of(&operand->tensor), memory,
                                                   place_of(&operand->tensor, index));
    return made;
}

/* --- the operations; values lie in the order of the sizes */

static double pointwise(cudnnPointwiseMode_t mode, double a, double b) {
    switch (mode) {
    case CUDNN_POINTWISE_ADD:
        return a + b;
    case CUDNN_POINTWISE_SUB:
        return a - b;
    case CUDNN_POINTWISE_MUL:
        return a * b;
    case CUDNN_POINTWISE_DIV:
        return a / b;
    case CUDNN_POINTWISE_EXP:
        return exp(a);
    case CUDNN_POINTWISE_LOG:
        return log(a);
    default:
        emulated_violation("cudnn: the stand-in has no pointwise mode %d", (int)mode);
    }
}

HOT static void multiply(const dnn_tensor *left, const dnn_tensor *right, const double *a,
                         const double *b, double *to) {
    size_t rows = (size_t)left->sizes[2], inner = (size_t)left->sizes[3];
    size_t columns = (size_t)right->sizes[3];
    for (size_t batch = 0; batch < (size_t)(left->sizes[0] * left->sizes[1]); batch++)
        for (size_t row = 0; row < rows; row++)
            for (size_t k = 0; k < inner; k++) {
                double by = a[(batch * rows + row) * inner + k];
                for (size_t column = 0; column < columns; column++)
                    to[(batch * rows + row) * columns + column] +=
                        by * b[(batch * inner + k) * columns + column];
            }
}

static void reduce(const dnn_operation *of, const dnn_tensor *from, const dnn_tensor *to,
                   const double *values, double *out) {
    for (size_t index = 0; index < count_of(to); index++)
        out[index] = of->reduces == CUDNN_REDUCE_TENSOR_MAX ? -INFINITY : 0;
    for (size_t index = 0; index < count_of(from); index++) {
        double *at = &out[broadcast_place(from, to, index)];
        if (of->reduces == CUDNN_REDUCE_TENSOR_MAX)
            *at = values[index] > *at ? values[index] : *at;
        else
            *at += values[index];
    }
}

/* The same elements in another order: those of `to`, as memory of its strides would have them. */
static void reshape(const dnn_tensor *from, const dnn_tensor *to, const double *values,
                    double *out) {
    size_t rows = (size_t)from->sizes[2], columns = (size_t)from->sizes[3];
    if (to->sizes[2] != from->sizes[3] || to->sizes[3] != from->sizes[2])
        emulated_violation("cudnn: the stand-in knows a reshape as a transposition alone");
    for (size_t index = 0; index < count_of(from); index++) {
        size_t batch = index / (rows * columns), within = index % (rows * columns);
        out[batch * rows * columns + within % columns * rows + within / columns] = values[index];
    }
}

static double *computed(const dnn_operations *self, const dnn_operation *of,
                        double *const *values) {
    const dnn_operand *from = &self->operands[of->from], *to = &self->operands[of->to];
    const dnn_operand *with = of->with < 0 ? NULL : &self->operands[of->with];
    const double *a = values[of->from], *b = with ? values[of->with] : NULL;
    double *out = new_values(to);
    if (of->kind == DNN_PRODUCT)
        multiply(&from->tensor, &with->tensor, a, b, out);
    else if (of->kind == DNN_REDUCTION)
        reduce(of, &from->tensor, &to->tensor, a, out);
    else if (of->kind == DNN_RESHAPE)
        reshape(&from->tensor, &to->tensor, a, out);
    else
        for (size_t index = 0; index < count_of(&to->tensor); index++)
            out[index] = pointwise(of->mode, a[broadcast_place(&to->tensor, &from->tensor, index)],
                                   b ? b[broadcast_place(&to->tensor, &with->tensor, index)] : 0);
    for (size_t index = 0; index < count_of(&to->tensor); index++)
        out[index] = rounded(&to->tensor, out[index]);
    return out;
}

void dnn_compute_operations(const dnn_operations *self, void *const *memory) {
    double *values[DNN_OPERANDS] = {NULL};
    for (int index = 0; index < self->operand_count; index++)
        if (!self->operands[index].is_written)
            values[index] = loaded(&self->operands[index], memory[index]);
    for (int index = 0; index < self->count; index++)
        values[self->of[index].to] = computed(self, &self->of[index], values);
    for (int index = 0; index < self->operand_count; index++) {
        const dnn_operand *operand = &self->operands[index];
        for (size_t at = 0;
             operand->is_written && !operand->tensor.is_virtual && at < count_of(&operand->tensor);
             at++)
            ref_store(type_of(&operand->tensor), memory[index], place_of(&operand->tensor, at),
                      values[index][at]);
        free(values[index]);
    }
}
