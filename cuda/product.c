#include "kernels.h"
#include "product_blas.h"

#include <stdio.h>
#include <stdlib.h>

/* Who does what of a product with an epilogue; one without has no BY_BOTH. */
typedef enum { BY_LIBRARY, BY_BOTH, BY_KERNEL } product_form;
enum { LIBRARY_FORMS = 2 };

typedef struct product_way {
    product_form form;
    blas_algorithm_choice choice; /* not BY_KERNEL's */
} product_way;

/* Pointers of activations and packed weights are aligned to 256 bytes; those into the flat arrays
 * of parameters only to an element. Each has its ways, best first. */
typedef enum { ALIGNED_16, ALIGNED_ELEMENT, ALIGNMENTS } product_alignment;
enum { MOST_WAYS = ALIGNMENTS * LIBRARY_FORMS * BLAS_ANSWERS + 1 };

typedef struct way_list {
    product_way ways[MOST_WAYS];
    int count, taken;
    ls_error refused; /* the first refusal that led away from the first way; code 0: none */
    int told;         /* the way that the remark about it names; -1: none */
} way_list;

struct product {
    cuda_device *device;
    product_shape shape;
    blas_product asked[LIBRARY_FORMS]; /* zeroed: not asked for */
    way_list lists[ALIGNMENTS];
    size_t workspace_bytes;
    char description[96];
};

typedef struct product_call {
    const void *left, *right;
    void *result;
    float *vector;
    void *workspace;
} product_call;

enum { ALIGNMENT = 256 };

static size_t aligned(size_t bytes) {
    return (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT;
}

static bool has_bias(const product_shape *shape) {
    return shape->epilogue == PRODUCT_BIAS || shape->epilogue == PRODUCT_BIAS_RELU;
}

/* --- one way, and the room that it takes of the workspace */

/* The bias as cuBLASLt wants it, or the sums before it is added to them. */
static size_t staged_bytes(const product_shape *shape, product_form form) {
    if (!has_bias(shape) || shape->result_type == DTYPE_F32 || form == BY_KERNEL)
        return 0;
    return form == BY_LIBRARY
               ? aligned((size_t)shape->columns * dtype_bytes(shape->result_type))
               : aligned((size_t)shape->rows * (size_t)shape->columns * sizeof(float));
}

static size_t way_bytes(const product *self, const product_way *way) {
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
                               .relu = shape->epilogue == PRODUCT_BIAS_RELU};
}

static int run_library(product *self, const product_way *way, cudaStream_t stream,
                       const product_call *call, ls_error *error) {
    const product_shape *shape = &self->shape;
    size_t staged = staged_bytes(shape, BY_LIBRARY);
    void *vector = call->vector;
    if (staged) {
        vector = call->workspace;
        CUDA_TRY(kernel_cast(stream, (size_t)shape->columns, DTYPE_F32, call->vector,
                             shape->result_type, vector),
                 "rounding a bias");
    }
    return blas_product_run(&self->asked[BY_LIBRARY], self->device->blas, stream, &way->choice,
                            call->left, call->right, call->result, vector,
                            (char *)call->workspace + staged, error);
}

static int add_left_sums(product *self, cudaStream_t stream, const product_call *call,
                         ls_error *error) {
    const product_shape *shape = &self->shape;
    CUDA_TRY(kernel_column_sums(stream, self->device->multiprocessors, shape->type, call->left,
                                (size_t)shape->inner, shape->rows, call->vector, call->workspace),
             "adding up the gradient of a bias");
    return LS_OK;
}

static int run_both(product *self, const product_way *way, cudaStream_t stream,
                    const product_call *call, ls_error *error) {
    const product_shape *shape = &self->shape;
    product_arguments of = arguments_of(shape);
    size_t staged = staged_bytes(shape, BY_BOTH);
    void *sums = staged ? call->workspace : call->result;
    LS_TRY(blas_product_run(&self->asked[BY_BOTH], self->device->blas, stream, &way->choice,
                            call->left, call->right, sums, NULL, (char *)call->workspace + staged,
                            error));
    if (shape->epilogue == PRODUCT_LEFT_SUMS)
        return add_left_sums(self, stream, call, error);
    CUDA_TRY(kernel_add_bias(stream, shape->result_type, &of, sums, call->vector, call->result),
             "adding a bias");
    return LS_OK;
}

static int run_kernel(product *self, cudaStream_t stream, const product_call *call,
                      ls_error *error) {
    const product_shape *shape = &self->shape;
    product_arguments of = arguments_of(shape);
    CUDA_TRY(kernel_product(stream, shape->type, shape->result_type, &of, call->left, call->right,
                            has_bias(shape) ? call->vector : NULL, call->result),
             "a matrix product by a kernel of ours");
    return shape->epilogue == PRODUCT_LEFT_SUMS ? add_left_sums(self, stream, call, error) : LS_OK;
}

static int run_way(product *self, const product_way *way, cudaStream_t stream,
                   const product_call *call, ls_error *error) {
    switch (way->form) {
    case BY_LIBRARY:
        return run_library(self, way, stream, call, error);
    case BY_BOTH:
        return run_both(self, way, stream, call, error);
    default:
        return run_kernel(self, stream, call, error);
    }
}

static void describe_way(const product *self, const product_way *way, char *out, size_t capacity) {
    product_epilogue epilogue = self->shape.epilogue;
    char algorithm[48];
    if (way->form == BY_KERNEL) {
        snprintf(out, capacity, "a kernel of ours");
        return;
    }
    blas_algorithm_describe(&way->choice, algorithm, sizeof algorithm);
    const char *rest = way->form == BY_BOTH
                           ? (has_bias(&self->shape) ? ", bias by a kernel" : ", sums by a kernel")
                       : epilogue == PRODUCT_LEFT_SUMS ? " with bias"
                                                       : "";
    snprintf(out, capacity, "%s%s", algorithm, rest);
}

/* --- the first way that is not refused */

static void refuse(product *self, way_list *list, const ls_error *refused) {
    device_remark(&self->device->base.refusals, "%s", refused->text);
    if (list && !list->refused.code)
        list->refused = *refused;
}

/* One line where another way is taken than the best. */
static void tell(product *self, way_list *list) {
    static const char *const with[] = {"", " with bias", " with bias and ReLU", " with sums"};
    const product_shape *shape = &self->shape;
    char way[96];
    if (!list->refused.code || list->told == list->taken)
        return;
    list->told = list->taken;
    describe_way(self, &list->ways[list->taken], way, sizeof way);
    device_remark(&self->device->base.fallbacks,
                  "product [%d, %d] x [%d, %d] of %s%s: %s; taken: %s", shape->rows, shape->inner,
                  shape->inner, shape->columns, dtype_name(shape->type), with[shape->epilogue],
                  list->refused.text, way);
}

/* From the way that is taken on, those that need at most `room` bytes of workspace. */
static int run_ways(product *self, way_list *list, size_t room, cudaStream_t stream,
                    const product_call *call, ls_error *error) {
    ls_error refused = {0};
    for (int index = list->taken; index < list->count; index++) {
        if (way_bytes(self, &list->ways[index]) > room)
            continue;
        refused = (ls_error){0};
        if (run_way(self, &list->ways[index], stream, call, &refused) == LS_OK) {
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
    return (has_bias(&self->shape) && (avoided & CUDA_AVOID_FUSED_BIAS)) ||
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
        if (has_bias(shape))
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
            size_t bytes = way_bytes(self, &self->lists[alignment].ways[index]);
            most = bytes > most ? bytes : most;
        }
    return most;
}

/* Runs each list once, on pointers that are aligned as it is for. */
static int try_ways(product *self, char *memory, size_t room, ls_error *error) {
    const product_shape *shape = &self->shape;
    size_t rows = (size_t)shape->rows, columns = (size_t)shape->columns;
    size_t inner = (size_t)shape->inner, element = dtype_bytes(shape->type);
    size_t left = 0, right = left + aligned(rows * inner * element + ALIGNMENT);
    size_t result = right + aligned(inner * columns * element + ALIGNMENT);
    size_t vector = result + aligned(rows * columns * sizeof(float) + ALIGNMENT);
    for (int alignment = 0; alignment < ALIGNMENTS; alignment++) {
        size_t offset = alignment == ALIGNED_16 ? 0 : 1;
        product_call call = {.left = memory + room + left + offset * element,
                             .right = memory + room + right + offset * element,
                             .result =
                                 memory + room + result + offset * dtype_bytes(shape->result_type),
                             .vector = (float *)(void *)(memory + room + vector) + offset,
                             .workspace = memory};
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
    size_t inner = (size_t)shape->inner, room = aligned(most_bytes(self));
    size_t bytes = room + 12 * ALIGNMENT + sizeof(float) * (rows * columns + rows + columns) +
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

static int prepare(product *self, ls_error *error) {
    describe_forms(self);
    for (int alignment = 0; alignment < ALIGNMENTS; alignment++)
        self->lists[alignment].told = -1;
    list_ways(self);
    LS_TRY(try_product(self, error));
    for (int alignment = 0; alignment < ALIGNMENTS; alignment++) {
        way_list *list = &self->lists[alignment];
        int needed[] = {list->taken, list->count - 1}; /* the last is there whatever is refused */
        for (int index = 0; index < 2; index++) {
            size_t bytes = way_bytes(self, &list->ways[needed[index]]);
            self->workspace_bytes = bytes > self->workspace_bytes ? bytes : self->workspace_bytes;
        }
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
    describe_way(self, &list->ways[list->taken], self->description, sizeof self->description);
    return self->description;
}

int product_run(product *self, device_stream *stream, const void *left, const void *right,
                void *result, float *vector, void *workspace, ls_error *error) {
    uintptr_t low_bits = (uintptr_t)left | (uintptr_t)right | (uintptr_t)result | (uintptr_t)vector;
    product_alignment alignment = low_bits % 16 == 0 ? ALIGNED_16 : ALIGNED_ELEMENT;
    product_call call = {left, right, result, vector, workspace};
    return run_ways(self, &self->lists[alignment], self->workspace_bytes, cuda_stream(stream),
                    &call, error);
}
