/* Casts between all pairs of types, against base/float16.h, and kernels whose arrays do not allow
 * wide accesses, against themselves where they do. */
#include "kit.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* Values at the edges of both small types, then random ones of all magnitudes. */
static float *edge_values(size_t count) {
    static const float edges[] = {0.0f,        -0.0f,       1.0f,       -1.0f,      65504.0f,
                                  65519.0f,    65520.0f,    -65536.0f,  0x1p-14f,   0x1.ffcp-15f,
                                  0x1p-24f,    0x1p-25f,    0x1.8p-25f, -0x1p-26f,  INFINITY,
                                  -INFINITY,   0x1.01p0f,   0x1.03p0f,  0x1.002p0f, 0x1.006p0f,
                                  0x1.fep127f, 0x1.ffp127f, 0x1p-126f,  0x1p-149f};
    float *out = random_values(count, 700);
    for (size_t i = 0; i < count; i++)
        out[i] = i < sizeof edges / sizeof *edges ? edges[i] : ldexpf(out[i], (int)(i % 60) - 30);
    return out;
}

static void one_cast(dtype from, dtype to, size_t count, size_t from_skew, size_t to_skew) {
    float *values = edge_values(count);
    uint8_t *source = encoded(from, values, count), *want = zeroed(count * dtype_bytes(to));
    uint8_t *got = zeroed(count * dtype_bytes(to));
    for (size_t i = 0; i < count; i++)
        put(to, want, i, get(from, source, i));
    memory in = memory_new(count * dtype_bytes(from), from_skew, source);
    memory out = memory_new(count * dtype_bytes(to), to_skew, NULL);
    MUST(kernel_cast(NULL, count, from, in.at, to, out.at));
    memory_get(&out, got);
    for (size_t i = 0; i < count; i++)
        expect(memcmp(got + i * dtype_bytes(to), want + i * dtype_bytes(to), dtype_bytes(to)) == 0,
               "element %zu, %.9g, became %.9g", i, (double)get(from, source, i),
               (double)get(to, got, i));
    memory_free(&in), memory_free(&out);
    free(values), free(source), free(want), free(got);
}

void test_casts(void) {
    static const size_t counts[] = {1, 7, 24, 4099};
    for (size_t f = 0; f < 3; f++)
        for (size_t t = 0; t < 3; t++) {
            dtype from = every_type[f], to = every_type[t];
            for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
                one_cast(from, to, counts[i], 0, 0);
                one_cast(from, to, counts[i], dtype_bytes(from), 0);
                one_cast(from, to, counts[i], 0, dtype_bytes(to));
            }
            case_done("cast from %s to %s", dtype_name(from), dtype_name(to));
        }
}

/* --- off the vectors' alignment: `call` gives `outputs` arrays of `bytes` each */

enum { MOST_OUTPUTS = 3 };

typedef struct outputs {
    memory of[MOST_OUTPUTS];
    int count;
} outputs;

static void expect_same(outputs *aligned, outputs *skewed, const char *what) {
    for (int i = 0; i < aligned->count; i++) {
        size_t bytes = aligned->of[i].bytes;
        uint8_t *a = zeroed(bytes), *b = zeroed(bytes);
        memory_get(&aligned->of[i], a), memory_get(&skewed->of[i], b);
        expect(memcmp(a, b, bytes) == 0, "%s: output %d has other bits", what, i);
        free(a), free(b);
        memory_free(&aligned->of[i]), memory_free(&skewed->of[i]);
    }
}

enum { N = 3, HEIGHT = 7, WIDTH = 10, CHANNELS = 24, WINDOW = 2, MORE = 3 };

static outputs pool(dtype type, size_t skew, int window) {
    pool_arguments shape = {N, HEIGHT, WIDTH, CHANNELS, window, true};
    size_t in = N * HEIGHT * WIDTH * CHANNELS, element = dtype_bytes(type);
    size_t out = (size_t)(N * (HEIGHT / window) * (WIDTH / window) * CHANNELS);
    float *x_values = random_values(in, 800), *dy_values = random_values(out, 801);
    void *x_host = encoded(type, x_values, in), *dy_host = encoded(type, dy_values, out);
    memory x = memory_new(in * element, skew, x_host),
           dy = memory_new(out * element, skew, dy_host);
    outputs got = {{memory_new(out * element, skew, NULL), memory_new(out, skew, NULL),
                    memory_new(in * element, skew, NULL)},
                   3};
    uint8_t *saved = (uint8_t *)got.of[1].at;
    MUST(kernel_maxpool2d_forward(NULL, type, &shape, x.at, got.of[0].at, saved));
    MUST(kernel_maxpool2d_backward(NULL, type, &shape, dy.at, got.of[0].at, saved, got.of[2].at));
    memory_free(&x), memory_free(&dy);
    free(x_values), free(dy_values), free(x_host), free(dy_host);
    return got;
}

static outputs batch(dtype type, size_t skew, int crop_padding) {
    /* Vectors of 8 elements cross pixels and rows. */
    enum { IMAGES = 20, COUNT = 9, ELEMENTS = 10 * 7 * 4 };
    uint8_t *pixels = zeroed(IMAGES * ELEMENTS);
    int32_t label[IMAGES];
    int64_t order[COUNT + 2];
    for (size_t i = 0; i < IMAGES * ELEMENTS; i++)
        pixels[i] = (uint8_t)(i * 7 + i / 256);
    for (int i = 0; i < IMAGES; i++)
        label[i] = 1000 + i;
    for (int i = 0; i < COUNT + 2; i++)
        order[i] = (i * 13 + 5) % IMAGES;
    step_state state = {.cursor = 2, .epoch = 3};
    memory images = memory_new(IMAGES * ELEMENTS, skew, pixels);
    memory labels = memory_new(sizeof label, 0, label), orders = memory_new(sizeof order, 0, order);
    memory states = memory_new(sizeof state, 0, &state);
    outputs got = {{memory_new(COUNT * ELEMENTS * dtype_bytes(type), skew, NULL),
                    memory_new(COUNT * sizeof(int32_t), 0, NULL)},
                   2};
    make_batch_arguments arguments = {.images = (const uint8_t *)images.at,
                                      .labels = (const int32_t *)labels.at,
                                      .order = (const int64_t *)orders.at,
                                      .state = (const step_state *)states.at,
                                      .count = COUNT,
                                      .height = 10,
                                      .width = 7,
                                      .channels = 4,
                                      .scale = 0x1p-8f,
                                      .shift = -0.5f,
                                      .seed = 9,
                                      .crop_padding = crop_padding,
                                      .flip = crop_padding > 0,
                                      .out = got.of[0].at,
                                      .out_labels = (int32_t *)got.of[1].at};
    MUST(kernel_make_batch(NULL, type, &arguments));
    memory_free(&images), memory_free(&labels), memory_free(&orders), memory_free(&states);
    free(pixels);
    return got;
}

static outputs elementwise(dtype type, size_t skew, int count) {
    size_t elements = (size_t)count, bytes = elements * dtype_bytes(type);
    float *a_values = random_values(elements, 900), *b_values = random_values(elements, 901);
    void *a_host = encoded(type, a_values, elements), *b_host = encoded(type, b_values, elements);
    memory a = memory_new(bytes, skew, a_host);
    outputs got = {{memory_new(bytes, skew, b_host), memory_new(bytes, skew, b_host)}, 2};
    MUST(kernel_relu_backward(NULL, type, elements, a.at, got.of[0].at));
    MUST(kernel_add(NULL, type, elements, a.at, got.of[1].at));
    memory_free(&a);
    free(a_values), free(b_values), free(a_host), free(b_host);
    return got;
}

static void compare(const char *what, outputs (*call)(dtype, size_t, int), int argument) {
    for (size_t t = 0; t < 3; t++) {
        outputs aligned = call(every_type[t], 0, argument);
        outputs skewed = call(every_type[t], dtype_bytes(every_type[t]), argument);
        expect_same(&aligned, &skewed, dtype_name(every_type[t]));
    }
    case_done("%s, %d: the same bits off the vectors' alignment", what, argument);
}

void test_alignments(void) {
    compare("max pooling, window", pool, WINDOW);
    compare("max pooling, window", pool, MORE);
    compare("a batch, crop", batch, 0);
    compare("a batch, crop", batch, 2);
    compare("relu_backward and add, elements", elementwise, 1);
    compare("relu_backward and add, elements", elementwise, 4099);
}
