#include "cuda/blas/product.h"
#include "cuda/blas/product_choose.h"
#include "cuda/blas/product_way.h"

#include <stdio.h>
#include <stdlib.h>

/* --- the first way that is not refused */

static void refuse(product *self, way_list *list, const ls_error *refused) {
    device_remark(&self->device->base.refusals, "%s", refused->text);
    if (list && !list->refused.code)
        list->refused = *refused;
}

/* One line where another way is taken than the best. */
static void tell(product *self, way_list *list) {
    static const char *const with[] = {"",
                                       " with bias",
                                       " with bias and ReLU",
                                       " with sums",
                                       " with bias, ReLU and bits",
                                       " with a mask"};
    const product_shape *shape = &self->shape;
    char way[128];
    if (!list->refused.code || list->told == list->taken)
        return;
    list->told = list->taken;
    product_way_describe(self, &list->ways[list->taken], way, sizeof way);
    device_remark(&self->device->base.fallbacks,
                  "product [%d, %d] x [%d, %d] of %s%s: %s; taken: %s", shape->rows, shape->inner,
                  shape->inner, shape->columns, dtype_name(shape->type), with[shape->epilogue],
                  list->refused.text, way);
}

/* The product that was to write the bits took another way. */
static bool lacks_bits(const product *self, const product_way *way, const product_operands *call) {
    return self->shape.epilogue == PRODUCT_MASK && way->form == BY_LIBRARY && !call->bits;
}

/* From the way that is taken on, those that need at most `room` bytes of workspace. */
static int run_ways(product *self, way_list *list, size_t room, cudaStream_t stream,
                    const product_operands *call, ls_error *error) {
    ls_error refused = {0};
    for (int index = list->taken; index < list->count; index++) {
        if (product_way_bytes(self, &list->ways[index]) > room ||
            lacks_bits(self, &list->ways[index], call))
            continue;
        refused = (ls_error){0};
        if (product_way_run(self, &list->ways[index], stream, call, &refused) == LS_OK) {
            if (call->wrote_bits)
                *call->wrote_bits = list->ways[index].form == BY_LIBRARY;
            if (!lacks_bits(self, &list->ways[list->taken], call)) /* else that is the next one's */
                list->taken = index;
            tell(self, list);
            return LS_OK;
        }
        cudaGetLastError(); /* the library's: the next kernel is not blamed */
        refuse(self, list, &refused);
    }
    return ls_fail(error, LS_FAILED, "%s", refused.text);
}

/* --- preparation */

static bool is_avoided(const product *self, product_form form) {
    unsigned avoided = self->device->avoided;
    if (avoided & CUDA_AVOID_CUBLASLT)
        return true;
    if (form == BY_BOTH)
        return false;
    return (product_has_bias(&self->shape) && (avoided & CUDA_AVOID_FUSED_BIAS)) ||
           (self->shape.epilogue == PRODUCT_LEFT_SUMS && (avoided & CUDA_AVOID_FUSED_SUMS));
}

/* Whether the product has such a form at all: cuBLASLt's sums have the result's type. */
static bool has_form(const product *self, product_form form) {
    if (is_avoided(self, form))
        return false;
    if (form == BY_BOTH)
        return self->shape.epilogue != PRODUCT_PLAIN;
    return self->shape.epilogue != PRODUCT_LEFT_SUMS || self->shape.result_type == DTYPE_F32;
}

static bool is_best(const product *self, product_form form) {
    return form == BY_LIBRARY || !has_form(self, BY_LIBRARY);
}

/* As cuBLASLt is asked for it in a form. */
static product_shape asked_shape(const product_shape *shape, product_form form) {
    product_shape asked = *shape;
    if (form == BY_BOTH) {
        asked.epilogue = PRODUCT_PLAIN;
        if (product_has_bias(shape))
            asked.result_type = DTYPE_F32;
    }
    return asked;
}

/* What is offered in one form, for pointers of this alignment, at the end of a list. Where the list
 * is still empty, a refusal is why another way will be taken than the best. */
static void add_ways(product *self, product_form form, product_alignment alignment,
                     way_list *list) {
    blas_algorithm_choice answers[BLAS_ANSWERS];
    ls_error refused = {0};
    int count = 0;
    if (!self->asked[form].operation)
        return;
    if (blas_product_ask(&self->asked[form], self->device->blas, alignment == ALIGNED_16, answers,
                         &count, &refused) != LS_OK)
        refuse(self, list->count == 0 ? list : NULL, &refused);
    for (int index = 0; index < count; index++)
        list->ways[list->count++] = (product_way){form, answers[index]};
}

/* An algorithm for pointers to an element serves aligned ones too. */
static void list_ways(product *self) {
    way_list *aligned_list = &self->lists[ALIGNED_16], *any = &self->lists[ALIGNED_ELEMENT];
    for (int form = 0; form < LIBRARY_FORMS; form++) {
        add_ways(self, (product_form)form, ALIGNED_16, aligned_list);
        add_ways(self, (product_form)form, ALIGNED_ELEMENT, any);
    }
    any->ways[any->count++] = (product_way){.form = BY_KERNEL};
    for (int index = 0; index < any->count; index++)
        aligned_list->ways[aligned_list->count++] = any->ways[index];
}

/* A form that cannot even be described: the next one's turn. */
static void describe_forms(product *self) {
    for (int form = 0; form < LIBRARY_FORMS; form++) {
        product_shape asked = asked_shape(&self->shape, (product_form)form);
        ls_error refused = {0};
        if (!has_form(self, (product_form)form) ||
            blas_product_describe(&asked, &self->asked[form], &refused) == LS_OK)
            continue;
        blas_product_destroy(&self->asked[form]);
        for (int alignment = 0; alignment < ALIGNMENTS; alignment++)
            refuse(self, is_best(self, (product_form)form) ? &self->lists[alignment] : NULL,
                   &refused);
    }
}

static size_t most_bytes(const product *self) {
    size_t most = 0;
    for (int alignment = 0; alignment < ALIGNMENTS; alignment++)
        for (int index = 0; index < self->lists[alignment].count; index++) {
            size_t bytes = product_way_bytes(self, &self->lists[alignment].ways[index]);
            most = bytes > most ? bytes : most;
        }
    return most;
}

/* Runs each list once, on pointers that are aligned as it is for. */
static int try_ways(product *self, char *memory, size_t room, ls_error *error) {
    const product_shape *shape = &self->shape;
    size_t rows = (size_t)shape->rows, columns = (size_t)shape->columns;
    size_t inner = (size_t)shape->inner, element = dtype_bytes(shape->type);
    size_t left = 0,
           right = left + product_aligned(rows * inner * element + PRODUCT_ROOM_ALIGNMENT);
    size_t result = right + product_aligned(inner * columns * element + PRODUCT_ROOM_ALIGNMENT);
    size_t vector =
        result + product_aligned(rows * columns * sizeof(float) + PRODUCT_ROOM_ALIGNMENT);
    size_t bits = vector + product_aligned((rows + columns + 1) * sizeof(float));
    size_t masked_by = bits + product_aligned(product_bits_bytes(shape->rows, shape->columns));
    for (int alignment = 0; alignment < ALIGNMENTS; alignment++) {
        size_t offset = alignment == ALIGNED_16 ? 0 : 1;
        product_operands call = {.left = memory + room + left + offset * element,
                                 .right = memory + room + right + offset * element,
                                 .result = memory + room + result +
                                           offset * dtype_bytes(shape->result_type),
                                 .vector = (float *)(void *)(memory + room + vector) + offset,
                                 .bits = memory + room + bits,
                                 .masked_by = memory + room + masked_by,
                                 .workspace = memory};
        LS_TRY(product_choose(self, (product_alignment)alignment, room, &call, error));
        LS_TRY(run_ways(self, &self->lists[alignment], room, self->device->memory_stream, &call,
                        error));
    }
    CUDA_TRY(cudaStreamSynchronize(self->device->memory_stream), "trying a matrix product");
    return LS_OK;
}

/* Where there is no room for it, the first way is taken untried. */
static int try_product(product *self, ls_error *error) {
    const product_shape *shape = &self->shape;
    size_t rows = (size_t)shape->rows, columns = (size_t)shape->columns;
    size_t inner = (size_t)shape->inner, room = product_aligned(most_bytes(self));
    size_t bytes = room + 12 * PRODUCT_ROOM_ALIGNMENT +
                   product_bits_bytes(shape->rows, shape->columns) +
                   rows * columns * dtype_bytes(shape->result_type) +
                   sizeof(float) * (rows * columns + rows + columns) +
                   dtype_bytes(shape->type) * inner * (rows + columns);
    ls_error no_room = {0};
    void *memory;
    if (cuda_allocate(&self->device->base, bytes, "trying a matrix product", &memory, &no_room) !=
        LS_OK) {
        for (int alignment = 0; alignment < ALIGNMENTS; alignment++)
            tell(self, &self->lists[alignment]);
        return LS_OK;
    }
    int status = try_ways(self, memory, room, error);
    cuda_release(&self->device->base, memory);
    return status;
}

/* The way that a masked product takes where the bits were not written. */
static int way_without_bits(const way_list *list) {
    int index = list->taken;
    while (list->ways[index].form == BY_LIBRARY) /* the last is ours */
        index++;
    return index;
}

/* Of what is taken, with and without bits, and of the last way, which is there whatever is refused.
 */
static size_t needed_bytes(const product *self, const way_list *list) {
    bool masks = self->shape.epilogue == PRODUCT_MASK;
    int needed[] = {list->taken, masks ? way_without_bits(list) : list->taken, list->count - 1};
    size_t most = 0;
    for (int index = 0; index < 3; index++) {
        size_t bytes = product_way_bytes(self, &list->ways[needed[index]]);
        most = bytes > most ? bytes : most;
    }
    return most;
}

static int prepare(product *self, ls_error *error) {
    describe_forms(self);
    for (int alignment = 0; alignment < ALIGNMENTS; alignment++)
        self->lists[alignment].told = -1;
    list_ways(self);
    for (int alignment = 0; alignment < ALIGNMENTS; alignment++)
        product_take_known(self, (product_alignment)alignment);
    LS_TRY(try_product(self, error));
    for (int alignment = 0; alignment < ALIGNMENTS; alignment++) {
        size_t bytes = needed_bytes(self, &self->lists[alignment]);
        self->workspace_bytes = bytes > self->workspace_bytes ? bytes : self->workspace_bytes;
    }
    return LS_OK;
}

static int check_shape(const product_shape *shape, ls_error *error) {
    if (shape->result_type != shape->type && shape->result_type != DTYPE_F32)
        return ls_fail(error, LS_FAILED, "device cuda: no product of %s has a result in %s",
                       dtype_name(shape->type), dtype_name(shape->result_type));
    if (shape->epilogue == PRODUCT_LEFT_SUMS && !shape->left_transposed)
        return ls_fail(error, LS_FAILED,
                       "device cuda: a product adds up its left factor where it is transposed");
    return LS_OK;
}

int product_create(cuda_device *device, const product_shape *shape, product **out,
                   ls_error *error) {
    LS_TRY(check_shape(shape, error));
    product *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->device = device;
    self->shape = *shape;
    int status = prepare(self, error);
    if (status != LS_OK) {
        product_destroy(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

void product_destroy(product *self) {
    if (!self)
        return;
    for (int form = 0; form < LIBRARY_FORMS; form++)
        blas_product_destroy(&self->asked[form]);
    free(self);
}

size_t product_workspace_bytes(const product *self) {
    return self->workspace_bytes;
}

const char *product_describe(product *self) {
    const way_list *list = &self->lists[ALIGNED_16];
    char way[128];
    product_way_describe(self, &list->ways[list->taken], way, sizeof way);
    snprintf(self->description, sizeof self->description, list->source[0] ? "%s (%s)" : "%s", way,
             list->source);
    return self->description;
}

int product_run(product *self, device_stream *stream, const product_operands *operands,
                ls_error *error) {
    const product_operands *at = operands;
    uintptr_t low_bits = (uintptr_t)at->left | (uintptr_t)at->right | (uintptr_t)at->result |
                         (uintptr_t)(at->low_bias ? at->low_bias : at->vector);
    product_alignment alignment = low_bits % 16 == 0 ? ALIGNED_16 : ALIGNED_ELEMENT;
    return run_ways(self, &self->lists[alignment], self->workspace_bytes, cuda_stream(stream),
                    operands, error);
}
