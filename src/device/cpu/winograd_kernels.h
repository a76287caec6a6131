/* What Winograd's convolutions (winograd.h) are made of: transforms of a tile and products, one
 * table for each set of vector instructions and each size of tile, all from the same source.
 *
 * A tile has `size` x `size` outputs and (size + 2) x (size + 2) elements: in V, W, M and U below
 * an element is an array of its own, a stride apart from the next. */
#ifndef LOCKSTEP_DEVICE_CPU_WINOGRAD_KERNELS_H
#define LOCKSTEP_DEVICE_CPU_WINOGRAD_KERNELS_H

#include <stdbool.h>
#include <stddef.h>

enum {
    WINOGRAD_GROUP = 64,        /* channels that lie together in V, W and M, and columns of U's */
    WINOGRAD_MOST_ELEMENTS = 36 /* of a tile with 4 x 4 outputs */
};

/* One sample of an activation; strides in values. Channels lie in planes of `lanes`. */
typedef struct winograd_image {
    int height, width, channels, lanes;
    size_t row, column, plane;
} winograd_image;

/* Where a tile's transform lies: element e, channel c at
 * e * element + c / WINOGRAD_GROUP * group + c % WINOGRAD_GROUP. Strides in floats. */
typedef struct winograd_place {
    size_t element, group;
} winograd_place;

/* c[i][j] = sum over k < depth of a[i][k] * b[k][j], or added to what c holds; i < rows, j <
 * columns. Strides in floats. b's columns lie in panels, each of them [depth][its columns]: as wide
 * as the table's `panel`, the last one as wide as what is left; b_panel floats apart. b_row 0: a
 * panel's own width. */
typedef struct winograd_product {
    const float *a, *b;
    float *c;
    size_t a_row, a_depth, b_row, b_panel, c_row;
    int rows, columns, depth;
    bool adds;
} winograd_product;

typedef struct winograd_kernels {
    const char *name;
    size_t value_bytes; /* of an activation's: 4 of fp32, or 2 of bf16; all else is fp32 */
    int size;           /* of a tile's outputs: 4 or 2 */
    int width;          /* floats of a vector: channels come in multiples of it */
    int panel;          /* columns that a product makes at once */

    /* V of the tile of inputs whose first row and column these are, which may lie outside: there it
     * is zero. All channels of the image. */
    void (*input)(const winograd_image *image, const void *x, int row, int column, float *v,
                  winograd_place place);
    /* y's tile from M, plus bias, and its positive part with `relu`; what lies outside is left out.
     * Channels first to first + count, which M's group begins with. bias NULL: none. */
    void (*output)(const winograd_image *image, const float *m, size_t element, const float *bias,
                   bool relu, void *y, int row, int column, int first, int count);
    /* W of the tile of dy (zero outside), and the sum of its values, for each channel. */
    void (*gradient)(const winograd_image *image, const void *dy, int row, int column, float *w,
                     winograd_place place, float *sums);
    void (*multiply)(const winograd_product *product);
    /* U of filters [count][3][3], `width` neighbours at a time: value (i, tap) at
     * from[i + tap * from_tap]; element e of filter i goes to to[i + e * element]. */
    void (*filter)(const float *from, ptrdiff_t from_tap, int count, float *to, size_t element);
    /* The gradient of the filters from U's: the reverse of `filter`, transposed. */
    void (*filter_gradient)(const float *from, size_t element, int count, float *to, size_t to_tap);
} winograd_kernels;

/* The best that this CPU has (and its users allow), for activations of fp32 or bf16, and tiles of
 * 4 x 4 or 2 x 2 outputs. */
const winograd_kernels *winograd_kernels_choose(bool bf16, int size);

/* winograd_transform.c, one for each way in which it was compiled: [bf16][0] 2 x 2, [1] 4 x 4. */
extern const winograd_kernels winograd_kernels_base[2][2];
extern const winograd_kernels winograd_kernels_avx2[2][2];
extern const winograd_kernels winograd_kernels_avx512[2][2];

#endif
