/* The ways of a product (product.h), and one of them: what it takes of the workspace, how it is put
 * into a stream, its name. For the files that make a product. */
#ifndef LOCKSTEP_CUDA_BLAS_PRODUCT_WAY_H
#define LOCKSTEP_CUDA_BLAS_PRODUCT_WAY_H

#include "cuda/blas/product.h"
#include "cuda/blas/product_blas.h"
#include "cuda/choices/choices.h"

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
    char source[CHOICE_SOURCE_BYTES]; /* of the order: "" is the heuristic's */
} way_list;

struct product {
    cuda_device *device;
    product_shape shape;
    blas_product asked[LIBRARY_FORMS]; /* zeroed: not asked for */
    way_list lists[ALIGNMENTS];
    size_t workspace_bytes;
    char description[160];
};

enum { PRODUCT_ROOM_ALIGNMENT = 256 };

static inline size_t product_aligned(size_t bytes) {
    return (bytes + PRODUCT_ROOM_ALIGNMENT - 1) / PRODUCT_ROOM_ALIGNMENT * PRODUCT_ROOM_ALIGNMENT;
}

static inline bool product_has_bias(const product_shape *shape) {
    return shape->epilogue == PRODUCT_BIAS || shape->epilogue == PRODUCT_BIAS_RELU ||
           shape->epilogue == PRODUCT_BIAS_RELU_BITS;
}

/* Of the workspace: the bias as cuBLASLt wants it, or the sums before it is added to them; and what
 * the library or our sums take. */
size_t product_way_bytes(const product *self, const product_way *way);
int product_way_run(product *self, const product_way *way, cudaStream_t stream,
                    const product_operands *call, ls_error *error);
void product_way_describe(const product *self, const product_way *way, char *out, size_t capacity);

#endif
