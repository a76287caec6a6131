/* Decoding, cropping and resampling by themselves (tests/peer/picture.py has Pillow's pixels): a
 * part is a part of the whole, every form of the passes gives the same bits, what fast differs by,
 * damage; and the views that are drawn. */
#include "../check.h"
#include "input/crop.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>

enum { HEIGHT = 300, WIDTH = 411, SIZE = 96 };

static uint8_t made[SIZE * SIZE * 3], other[SIZE * SIZE * 3];

/* A smooth picture with some noise; the caller frees it. */
static uint8_t *encode(int components, int horizontal, int vertical, bool progressive,
                       unsigned long *count) {
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr manager;
    uint8_t *out = NULL, row[WIDTH * 4];
    encoder.err = jpeg_std_error(&manager);
    jpeg_create_compress(&encoder);
    jpeg_mem_dest(&encoder, &out, count);
    encoder.image_width = WIDTH;
    encoder.image_height = HEIGHT;
    encoder.input_components = components;
    encoder.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&encoder);
    encoder.comp_info[0].h_samp_factor = horizontal;
    encoder.comp_info[0].v_samp_factor = vertical;
    if (progressive)
        jpeg_simple_progression(&encoder);
    jpeg_start_compress(&encoder, TRUE);
    for (int y = 0; y < HEIGHT; y++) {
        for (int at = 0; at < WIDTH * components; at++)
            row[at] = (uint8_t)(128 + 90 * sin(at * 0.017 + y * 0.03) + (at * 31 + y * 17) % 13);
        JSAMPROW rows = row;
        jpeg_write_scanlines(&encoder, &rows, 1);
    }
    jpeg_finish_compress(&encoder);
    jpeg_destroy_compress(&encoder);
    return out;
}

static view part_of(int left, int top, int width, int height) {
    return (view){.columns = {.from = left, .extent = width, .size = width, .count = width},
                  .rows = {.from = top, .extent = height, .size = height, .count = height}};
}

static void take(picture *picture, const uint8_t *bytes, unsigned long count, const view *view,
                 decode_how how, uint8_t *out) {
    ls_error error = {0};
    CHECK(picture_begin(picture, bytes, count, &error) == LS_OK, "%s", error.text);
    CHECK(picture_take(picture, view, how, out, &error) == LS_OK, "%s", error.text);
}

/* Every part that is cut out while decoding is the same part of the whole image. */
static void test_parts(picture *picture) {
    static const struct {
        int components, horizontal, vertical;
        bool progressive;
    } kinds[] = {{1, 1, 1, false}, {3, 1, 1, false}, {3, 2, 1, false}, {3, 2, 2, false},
                 {3, 1, 2, false}, {3, 2, 2, true},  {3, 2, 1, true},  {4, 1, 1, false}};
    uint8_t *whole = malloc(HEIGHT * WIDTH * 3), *part = malloc(HEIGHT * WIDTH * 3);
    for (size_t kind = 0; kind < sizeof kinds / sizeof kinds[0]; kind++) {
        unsigned long count = 0;
        uint8_t *bytes = encode(kinds[kind].components, kinds[kind].horizontal,
                                kinds[kind].vertical, kinds[kind].progressive, &count);
        view all = part_of(0, 0, WIDTH, HEIGHT);
        take(picture, bytes, count, &all, DECODE_EXACT, whole);
        int different = 0;
        for (int trial = 0; trial < 60; trial++) {
            int width = 1 + rand() % 60, height = 1 + rand() % 60;
            int left = rand() % (WIDTH - width + 1), top = rand() % (HEIGHT - height + 1);
            view some = part_of(left, top, width, height);
            take(picture, bytes, count, &some, DECODE_EXACT, part);
            for (int y = 0; y < height; y++)
                different += memcmp(part + y * width * 3, whole + ((top + y) * WIDTH + left) * 3,
                                    (size_t)width * 3) != 0;
        }
        CHECK(different == 0, "kind %zu: %d rows", kind, different);
        free(bytes);
    }
    free(whole);
    free(part);
    check_case("a part is the same part of the whole image, for every subsampling");
}

static void test_forms(picture *picture) {
    unsigned long count = 0;
    uint8_t *bytes = encode(3, 2, 2, false, &count);
    int different = 0;
    for (int64_t sample = 0; sample < 100; sample++) {
        crop_draw draw = {.seed = 3, .epoch = 1, .sample = sample};
        view some = crop_resized(&draw, HEIGHT, WIDTH, SIZE);
        take(picture, bytes, count, &some, DECODE_EXACT, made);
        const resample_kernels *chosen = picture->resampler.kernels;
        picture->resampler.kernels = &resample_kernels_plain;
        take(picture, bytes, count, &some, DECODE_EXACT, other);
        picture->resampler.kernels = chosen;
        different += memcmp(made, other, sizeof made) != 0;
    }
    CHECK(different == 0, "%d of 100", different);
    free(bytes);
    check_case("vectors give the bits of plain C");
}

static double mean_difference(void) {
    double sum = 0;
    for (size_t at = 0; at < sizeof made; at++)
        sum += abs(made[at] - other[at]);
    return sum / sizeof made;
}

static void test_fast(picture *picture) {
    unsigned long count = 0;
    uint8_t *bytes = encode(3, 2, 2, false, &count);
    double worst = 0, unlike = 0;
    for (int64_t sample = 0; sample < 100; sample++) {
        crop_draw draw = {.seed = 4, .epoch = 1, .sample = sample};
        view some = crop_resized(&draw, HEIGHT, WIDTH, SIZE);
        take(picture, bytes, count, &some, DECODE_EXACT, made);
        take(picture, bytes, count, &some, DECODE_FAST, other);
        worst = fmax(worst, mean_difference());
        some.mirrored = !some.mirrored;
        take(picture, bytes, count, &some, DECODE_FAST, other);
        unlike = fmax(unlike, mean_difference());
    }
    CHECK(worst > 0 && worst < 4, "%f", worst);
    CHECK(unlike > 2 * worst, "%f", unlike);
    free(bytes);
    check_case("fast is near to exact, and not it");
}

static void test_damage(picture *picture) {
    unsigned long count = 0;
    ls_error error = {0};
    uint8_t *bytes = encode(3, 2, 2, false, &count);
    CHECK(picture_begin(picture, bytes, 0, &error) == LS_BAD_INPUT, "no bytes");
    CHECK(strstr(error.text, "expected a whole JPEG image"), "%s", error.text);
    error = (ls_error){0};
    CHECK(picture_begin(picture, (const uint8_t *)"GIF89a..........", 16, &error) == LS_BAD_INPUT,
          "no JPEG");
    view all = crop_centre(HEIGHT, WIDTH, SIZE);
    for (unsigned long cut = 1; cut < count; cut += 97) {
        error = (ls_error){0};
        int status = picture_begin(picture, bytes, cut, &error);
        if (status == LS_OK)
            status = picture_take(picture, &all, DECODE_EXACT, made, &error);
        CHECK(status == LS_BAD_INPUT || cut > count - 64 || cut > count * 9 / 10, "%lu of %lu", cut,
              count);
    }
    take(picture, bytes, count, &all, DECODE_EXACT, made);
    free(bytes);
    check_case("what is cut off is told, and the next image is decoded");
}

static bool inside(const view_axis *axis, int length) {
    return axis->from >= 0 && axis->extent >= 1 && axis->from + axis->extent <= length &&
           axis->first >= 0 && axis->first + axis->count <= axis->size;
}

static void test_views(void) {
    static const int sides[][2] = {{375, 500}, {500, 375}, {1, 1}, {1, 700}, {900, 2}, {64, 64}};
    for (size_t which = 0; which < sizeof sides / sizeof sides[0]; which++) {
        int height = sides[which][0], width = sides[which][1], mirrored = 0, changed = 0;
        double area = 0;
        for (int64_t sample = 0; sample < 2000; sample++) {
            crop_draw draw = {.seed = 9, .epoch = 2, .sample = sample}, next = draw;
            view once = crop_resized(&draw, height, width, 224);
            view again = crop_resized(&draw, height, width, 224);
            next.epoch++;
            view later = crop_resized(&next, height, width, 224);
            CHECK(memcmp(&once, &again, sizeof once) == 0, "sample %lld", (long long)sample);
            CHECK(inside(&once.columns, width) && inside(&once.rows, height), "%d x %d", height,
                  width);
            mirrored += once.mirrored;
            changed += memcmp(&once, &later, sizeof once) != 0;
            area += (double)once.columns.extent * once.rows.extent / ((double)height * width);
        }
        CHECK(mirrored > 850 && mirrored < 1150, "%d of 2000", mirrored);
        CHECK(changed > 800, "%d of 2000", changed);
        if (height * width > 10000)
            CHECK(area / 2000 > 0.4 && area / 2000 < 0.6, "%f", area / 2000);
        view middle = crop_centre(height, width, 224);
        CHECK(inside(&middle.columns, width) && inside(&middle.rows, height), "%d x %d", height,
              width);
        CHECK(middle.columns.size >= 256 && middle.rows.size >= 256, "%d", middle.rows.size);
    }
    check_case("views lie in the image and are a function of seed, epoch and sample");
}

static void test_jitter(void) {
    uint8_t pixels[300], before[300];
    int changed = 0;
    for (int at = 0; at < 300; at++)
        before[at] = (uint8_t)(at * 37);
    for (int64_t sample = 0; sample < 50; sample++) {
        crop_draw draw = {.seed = 9, .epoch = 2, .sample = sample};
        memcpy(pixels, before, sizeof pixels);
        crop_jitter(&draw, 0, 0, pixels, 100);
        CHECK(memcmp(pixels, before, sizeof pixels) == 0, "strength 0 changes pixels");
        crop_jitter(&draw, 0.4f, 0, pixels, 100);
        changed += memcmp(pixels, before, sizeof pixels) != 0;
    }
    CHECK(changed == 50, "%d", changed);
    check_case("jitter of strength 0 is none");
    changed = 0;
    for (int64_t sample = 0; sample < 50; sample++) {
        crop_draw draw = {.seed = 9, .epoch = 2, .sample = sample};
        uint8_t with_hue[300], again[300];
        memcpy(pixels, before, sizeof pixels);
        memcpy(with_hue, before, sizeof with_hue);
        memcpy(again, before, sizeof again);
        crop_jitter(&draw, 0.4f, 0, pixels, 100);
        crop_jitter(&draw, 0.4f, 0.5f, with_hue, 100);
        crop_jitter(&draw, 0.4f, 0.5f, again, 100);
        CHECK(memcmp(with_hue, again, sizeof again) == 0, "it is no function of the draw");
        changed += memcmp(with_hue, pixels, sizeof pixels) != 0;
    }
    CHECK(changed >= 45, "%d", changed); /* a turn may be next to nothing */
    check_case("a turn of the hue is a function of seed, epoch and sample");
}

int main(void) {
    picture picture;
    ls_error error = {0};
    if (picture_open(&picture, &error) != LS_OK) {
        printf("1..0 # SKIP %s\n", error.text);
        return 0;
    }
    test_parts(&picture);
    test_forms(&picture);
    test_fast(&picture);
    test_damage(&picture);
    picture_close(&picture);
    test_views();
    test_jitter();
    return check_done();
}
