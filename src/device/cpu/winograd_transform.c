/* Transforms and products of Winograd's convolutions. Compiled once for each set of vector
 * instructions (meson.build), with
 *   WINOGRAD_WIDTH   floats of a vector
 *   WINOGRAD_PANEL   vectors of a product's row: six rows of them are kept in registers
 *   WINOGRAD_ISA     the name of the table, as winograd_kernels.h has it
 * Each value is made by the same operations wherever its tile stands, so that its bits depend on
 * nothing but the inputs. */
#include "device/cpu/winograd_kernels.h"

#include "device/cpu/unroll.h"

#include <stdint.h>

enum { WIDTH = WINOGRAD_WIDTH, PANEL_VECTORS = WINOGRAD_PANEL };

typedef float vector __attribute__((vector_size(WINOGRAD_WIDTH * 4), may_alias));
/* In an array of floats. */
typedef float vector_there __attribute__((vector_size(WINOGRAD_WIDTH * 4), aligned(4), may_alias));

#define INLINE static inline __attribute__((always_inline))
/* Before each loop of a constant number of turns. */
#define UNROLL CPU_UNROLL(36)

#include "device/cpu/winograd_lines.h"

typedef uint32_t words __attribute__((vector_size(WINOGRAD_WIDTH * 4), may_alias));
typedef uint16_t halves_there
    __attribute__((vector_size(WINOGRAD_WIDTH * 2), aligned(2), may_alias));

INLINE vector load(const float *from) {
    return *(const vector_there *)from;
}

INLINE void store(float *to, vector value) {
    *(vector_there *)to = value;
}

/* Of an activation, whose type is fp32 or bf16; `index` may be below zero. */
INLINE vector load_value(const bool bf16, const void *from, ptrdiff_t index) {
    if (!bf16)
        return load((const float *)from + index);
    const halves_there *there = (const halves_there *)((const uint16_t *)from + index);
    return (vector)(__builtin_convertvector(*there, words) << 16);
}

/* bf16: to the nearest, ties to even, as bf16_of_float (base/float16.h). */
INLINE void store_value(const bool bf16, void *to, size_t index, vector value) {
    if (!bf16) {
        store((float *)to + index, value);
        return;
    }
    words bits = (words)value, nan = (words)((bits & 0x7FFFFFFFu) > 0x7F800000u);
    words rounded = (bits + 0x7FFFu + (bits >> 16 & 1)) >> 16, quiet = bits >> 16 | 0x40;
    *(halves_there *)((uint16_t *)to + index) =
        __builtin_convertvector((rounded & ~nan) | (quiet & nan), halves_there);
}

INLINE const void *moved(const bool bf16, const void *from, ptrdiff_t values) {
    return (const char *)from + values * (ptrdiff_t)(bf16 ? sizeof(uint16_t) : sizeof(float));
}

/* Of a tile's rows and columns, those inside the image: [first, end). */
typedef struct inside {
    int first_row, end_row, first_column, end_column;
} inside;

INLINE int clip(int value, int high) {
    return value < 0 ? 0 : value > high ? high : value;
}

INLINE inside inside_of(const winograd_image *image, int row, int column, int length) {
    return (inside){clip(-row, length), clip(image->height - row, length), clip(-column, length),
                    clip(image->width - column, length)};
}

INLINE bool is_whole(inside in, int length) {
    return in.first_row == 0 && in.first_column == 0 && in.end_row == length &&
           in.end_column == length;
}

INLINE size_t channel_offset(const winograd_image *image, int channel) {
    return (size_t)(channel / image->lanes) * image->plane + (size_t)(channel % image->lanes);
}

/* Column `column` of a tile whose first value may lie outside, but is not read then. */
INLINE void load_column(const bool bf16, const int length, const bool whole,
                        const winograd_image *image, const void *from, inside in, int column,
                        vector *to) {
    UNROLL
    for (int row = 0; row < length; row++) {
        bool there = whole || (row >= in.first_row && row < in.end_row);
        to[row] = there
                      ? load_value(bf16, from,
                                   (ptrdiff_t)image->row * row + (ptrdiff_t)image->column * column)
                      : (vector){0};
    }
}

/* What a tile begins with; it may lie outside of the image. */
INLINE ptrdiff_t tile_offset(const winograd_image *image, int row, int column) {
    return (ptrdiff_t)image->row * row + (ptrdiff_t)image->column * column;
}

INLINE void input_vector(const bool bf16, const int size, const bool whole,
                         const winograd_image *image, const void *from, inside in, float *v,
                         size_t element) {
    const int length = size + 2;
    vector taken[6], half[36], line[6];
    UNROLL
    for (int column = 0; column < length; column++) {
        if (whole || (column >= in.first_column && column < in.end_column)) {
            load_column(bf16, length, whole, image, from, in, column, taken);
            input_line(size, taken, 1, half + column, length);
        } else {
            UNROLL
            for (int row = 0; row < length; row++)
                half[row * length + column] = (vector){0};
        }
    }
    UNROLL
    for (int row = 0; row < length; row++) {
        input_line(size, half + row * length, 1, line, 1);
        UNROLL
        for (int column = 0; column < length; column++)
            store(v + (size_t)(row * length + column) * element, line[column]);
    }
}

INLINE size_t place_offset(winograd_place place, int channel) {
    return (size_t)(channel / WINOGRAD_GROUP) * place.group + (size_t)(channel % WINOGRAD_GROUP);
}

INLINE void input_tile(const bool bf16, const int size, const winograd_image *image, const void *x,
                       int row, int column, float *v, winograd_place place) {
    inside in = inside_of(image, row, column, size + 2);
    ptrdiff_t first = tile_offset(image, row, column);
    bool whole = is_whole(in, size + 2);
    for (int channel = 0; channel < image->channels; channel += WIDTH) {
        const void *from = moved(bf16, x, first + (ptrdiff_t)channel_offset(image, channel));
        float *to = v + place_offset(place, channel);
        if (whole)
            input_vector(bf16, size, true, image, from, in, to, place.element);
        else
            input_vector(bf16, size, false, image, from, in, to, place.element);
    }
}

INLINE void output_vector(const bool bf16, const int size, const bool whole,
                          const winograd_image *image, const float *m, size_t element, vector bias,
                          bool relu, void *to, inside in) {
    const int length = size + 2;
    vector taken[6], half[24], line[4];
    UNROLL
    for (int column = 0; column < length; column++) {
        UNROLL
        for (int row = 0; row < length; row++)
            taken[row] = load(m + (size_t)(row * length + column) * element);
        output_line(size, taken, 1, half + column, length);
    }
    UNROLL
    for (int row = 0; row < size; row++) {
        output_line(size, half + row * length, 1, line, 1);
        UNROLL
        for (int column = 0; column < size; column++) {
            vector value = line[column] + bias;
            if (relu)
                value = (vector)((__typeof__(value > 0))value & (value > 0));
            if (whole || (row < in.end_row && column < in.end_column))
                store_value(bf16, to, image->row * (size_t)row + image->column * (size_t)column,
                            value);
        }
    }
}

INLINE void output_tile(const bool bf16, const int size, const winograd_image *image,
                        const float *m, size_t element, const float *bias, bool relu, void *y,
                        int row, int column, int first, int count) {
    inside in = inside_of(image, row, column, size);
    ptrdiff_t tile = tile_offset(image, row, column);
    bool whole = is_whole(in, size);
    for (int channel = 0; channel < count; channel += WIDTH) {
        void *to = (void *)moved(bf16, y, tile + (ptrdiff_t)channel_offset(image, first + channel));
        vector added = bias ? load(bias + first + channel) : (vector){0};
        if (whole)
            output_vector(bf16, size, true, image, m + channel, element, added, relu, to, in);
        else
            output_vector(bf16, size, false, image, m + channel, element, added, relu, to, in);
    }
}

INLINE void gradient_vector(const bool bf16, const int size, const bool whole,
                            const winograd_image *image, const void *from, inside in, float *w,
                            size_t element, float *sum) {
    const int length = size + 2;
    vector taken[4], half[24], line[6], total = {0};
    UNROLL
    for (int column = 0; column < size; column++) {
        if (whole || column < in.end_column) {
            load_column(bf16, size, whole, image, from, in, column, taken);
            UNROLL
            for (int row = 0; row < size; row++)
                total += taken[row];
            gradient_line(size, taken, 1, half + column, size);
        } else {
            UNROLL
            for (int row = 0; row < length; row++)
                half[row * size + column] = (vector){0};
        }
    }
    store(sum, total);
    UNROLL
    for (int row = 0; row < length; row++) {
        gradient_line(size, half + row * size, 1, line, 1);
        UNROLL
        for (int column = 0; column < length; column++)
            store(w + (size_t)(row * length + column) * element, line[column]);
    }
}

INLINE void gradient_tile(const bool bf16, const int size, const winograd_image *image,
                          const void *dy, int row, int column, float *w, winograd_place place,
                          float *sums) {
    inside in = inside_of(image, row, column, size);
    ptrdiff_t tile = tile_offset(image, row, column);
    bool whole = is_whole(in, size);
    for (int channel = 0; channel < image->channels; channel += WIDTH) {
        const void *from = moved(bf16, dy, tile + (ptrdiff_t)channel_offset(image, channel));
        float *to = w + place_offset(place, channel);
        if (whole)
            gradient_vector(bf16, size, true, image, from, in, to, place.element, sums + channel);
        else
            gradient_vector(bf16, size, false, image, from, in, to, place.element, sums + channel);
    }
}

/* ---- filters */

INLINE void filter_vectors(const int size, const float *from, ptrdiff_t from_tap, int count,
                           float *to, size_t element) {
    const int length = size + 2;
    for (int first = 0; first < count; first += WIDTH) {
        vector taken[3], half[18], line[6];
        UNROLL
        for (int column = 0; column < 3; column++) {
            UNROLL
            for (int row = 0; row < 3; row++)
                taken[row] = load(from + first + (row * 3 + column) * from_tap);
            filter_line(size, taken, 1, half + column, 3);
        }
        UNROLL
        for (int row = 0; row < length; row++) {
            filter_line(size, half + row * 3, 1, line, 1);
            UNROLL
            for (int column = 0; column < length; column++)
                store(to + first + (size_t)(row * length + column) * element, line[column]);
        }
    }
}

INLINE void filter_gradient_vectors(const int size, const float *from, size_t element, int count,
                                    float *to, size_t to_tap) {
    const int length = size + 2;
    for (int first = 0; first < count; first += WIDTH) {
        vector taken[6], half[18], line[3];
        UNROLL
        for (int column = 0; column < length; column++) {
            UNROLL
            for (int row = 0; row < length; row++)
                taken[row] = load(from + first + (size_t)(row * length + column) * element);
            filter_gradient_line(size, taken, 1, half + column, length);
        }
        UNROLL
        for (int row = 0; row < 3; row++) {
            filter_gradient_line(size, half + row * length, 1, line, 1);
            UNROLL
            for (int column = 0; column < 3; column++)
                store(to + first + (size_t)(row * 3 + column) * to_tap, line[column]);
        }
    }
}

/* ---- products: a tile of sums in registers (see product.h for the scheme) */

enum { MOST_ROWS = 6, MOST_DEPTH = 128 };

INLINE void multiply_tile(const int rows, const int vectors, const bool adds,
                          const winograd_product *p, int depth, const float *a, const float *b,
                          size_t b_row, float *c) {
    vector sums[MOST_ROWS][PANEL_VECTORS];
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
    for (int v = 0; v < vectors; v++)
        sums[i][v] = adds ? load(c + (size_t)i * p->c_row + v * WIDTH) : (vector){0};
    const size_t a_row = p->a_row, a_depth = p->a_depth;
    for (int k = 0; k < depth; k++, a += a_depth, b += b_row) {
        vector from_b[PANEL_VECTORS];
        UNROLL
        for (int v = 0; v < vectors; v++)
            from_b[v] = load(b + v * WIDTH);
        UNROLL
        for (int i = 0; i < rows; i++) {
            float from_a = a[(size_t)i * a_row];
            UNROLL
            for (int v = 0; v < vectors; v++)
                sums[i][v] += from_a * from_b[v];
        }
    }
    UNROLL
    for (int i = 0; i < rows; i++)
        UNROLL
    for (int v = 0; v < vectors; v++)
        store(c + (size_t)i * p->c_row + v * WIDTH, sums[i][v]);
}

INLINE void multiply_rows(const int vectors, const bool adds, const winograd_product *p, int depth,
                          const float *a, const float *b, float *c) {
    size_t b_row = p->b_row ? p->b_row : (size_t)vectors * WIDTH;
    for (int rows = p->rows; rows > 0;) {
        int taken = rows >= MOST_ROWS ? MOST_ROWS : rows >= 4 ? 4 : rows >= 2 ? 2 : 1;
        if (taken == MOST_ROWS)
            multiply_tile(MOST_ROWS, vectors, adds, p, depth, a, b, b_row, c);
        else if (taken == 4)
            multiply_tile(4, vectors, adds, p, depth, a, b, b_row, c);
        else if (taken == 2)
            multiply_tile(2, vectors, adds, p, depth, a, b, b_row, c);
        else
            multiply_tile(1, vectors, adds, p, depth, a, b, b_row, c);
        a += (size_t)taken * p->a_row;
        c += (size_t)taken * p->c_row;
        rows -= taken;
    }
}

/* A panel's rows of b stay in a first-level cache while all rows of a pass. */
INLINE void multiply_panel(const int vectors, const winograd_product *p, const float *b, float *c) {
    size_t b_row = p->b_row ? p->b_row : (size_t)vectors * WIDTH;
    for (int k = 0; k < p->depth; k += MOST_DEPTH) {
        int depth = p->depth - k < MOST_DEPTH ? p->depth - k : MOST_DEPTH;
        const float *a = p->a + (size_t)k * p->a_depth;
        if (k > 0 || p->adds)
            multiply_rows(vectors, true, p, depth, a, b + (size_t)k * b_row, c);
        else
            multiply_rows(vectors, false, p, depth, a, b + (size_t)k * b_row, c);
    }
}

static void multiply(const winograd_product *p) {
    const float *b = p->b;
    for (int column = 0; column < p->columns; column += WIDTH * PANEL_VECTORS, b += p->b_panel) {
        int vectors = (p->columns - column) / WIDTH;
        if (vectors >= PANEL_VECTORS)
            multiply_panel(PANEL_VECTORS, p, b, p->c + column);
        else if (vectors == 3)
            multiply_panel(PANEL_VECTORS < 3 ? PANEL_VECTORS : 3, p, b, p->c + column);
        else if (vectors == 2)
            multiply_panel(2, p, b, p->c + column);
        else
            multiply_panel(1, p, b, p->c + column);
    }
}

/* ---- the table: one function for each type of activations and each size of tile */

#define TYPED(TYPE, BF16, SIZE)                                                                    \
    static void input_##TYPE##_##SIZE(const winograd_image *image, const void *x, int row,         \
                                      int column, float *v, winograd_place place) {                \
        input_tile(BF16, SIZE, image, x, row, column, v, place);                                   \
    }                                                                                              \
    static void output_##TYPE##_##SIZE(const winograd_image *image, const float *m,                \
                                       size_t element, const float *bias, bool relu, void *y,      \
                                       int row, int column, int first, int count) {                \
        output_tile(BF16, SIZE, image, m, element, bias, relu, y, row, column, first, count);      \
    }                                                                                              \
    static void gradient_##TYPE##_##SIZE(const winograd_image *image, const void *dy, int row,     \
                                         int column, float *w, winograd_place place,               \
                                         float *sums) {                                            \
        gradient_tile(BF16, SIZE, image, dy, row, column, w, place, sums);                         \
    }

#define SIZED(SIZE)                                                                                \
    static void filter_##SIZE(const float *from, ptrdiff_t from_tap, int count, float *to,         \
                              size_t element) {                                                    \
        filter_vectors(SIZE, from, from_tap, count, to, element);                                  \
    }                                                                                              \
    static void filter_gradient_##SIZE(const float *from, size_t element, int count, float *to,    \
                                       size_t to_tap) {                                            \
        filter_gradient_vectors(SIZE, from, element, count, to, to_tap);                           \
    }

TYPED(fp32, false, 2)
TYPED(fp32, false, 4)
TYPED(bf16, true, 2)
TYPED(bf16, true, 4)
SIZED(2)
SIZED(4)

#define JOINED(a, b) a##b
#define NAMED(isa)   JOINED(winograd_kernels_, isa)
#define QUOTED(text) #text
#define TEXT(text)   QUOTED(text)

#define ROW(TYPE, BYTES, SIZE)                                                                     \
    {                                                                                              \
        .name = "winograd " #SIZE "x" #SIZE " " TEXT(WINOGRAD_ISA), .value_bytes = BYTES,          \
        .size = SIZE, .width = WIDTH, .panel = WIDTH * PANEL_VECTORS,                              \
        .input = input_##TYPE##_##SIZE, .output = output_##TYPE##_##SIZE,                          \
        .gradient = gradient_##TYPE##_##SIZE, .multiply = multiply, .filter = filter_##SIZE,       \
        .filter_gradient = filter_gradient_##SIZE                                                  \
    }

const winograd_kernels NAMED(WINOGRAD_ISA)[2][2] = {{ROW(fp32, 4, 2), ROW(fp32, 4, 4)},
                                                    {ROW(bf16, 2, 2), ROW(bf16, 2, 4)}};
