/* JPEG decoding and resampling, and the sources' own properties. */
#include "../check.h"
#include "base/atomic_file.h"
#include "data/jpeg.h"
#include "data/resize.h"
#include "data/source.h"
#include "data_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <jpeglib.h>

/* Writes pixels [height, width, components] (1: grey, 3: RGB, 4: CMYK as Adobe stores it). */
static void write_jpeg(const char *path, const uint8_t *pixels, int height, int width,
                       int components) {
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr manager;
    FILE *file = fopen(path, "wb");
    encoder.err = jpeg_std_error(&manager);
    jpeg_create_compress(&encoder);
    jpeg_stdio_dest(&encoder, file);
    encoder.image_width = (JDIMENSION)width;
    encoder.image_height = (JDIMENSION)height;
    encoder.input_components = components;
    encoder.in_color_space = components == 1 ? JCS_GRAYSCALE : components == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&encoder);
    jpeg_set_quality(&encoder, 95, TRUE);
    jpeg_start_compress(&encoder, TRUE);
    while (encoder.next_scanline < encoder.image_height) {
        JSAMPROW row = (JSAMPROW)(uintptr_t)(pixels + (size_t)encoder.next_scanline *
                                                          (size_t)width * (size_t)components);
        jpeg_write_scanlines(&encoder, &row, 1);
    }
    jpeg_finish_compress(&encoder);
    jpeg_destroy_compress(&encoder);
    fclose(file);
}

static uint8_t picture[256 * 300 * 4];

static void flat(int components, const uint8_t *colour) {
    for (size_t at = 0; at < sizeof picture; at++)
        picture[at] = colour[at % (size_t)components];
}

static int is_flat(const uint8_t *pixels, int count, int red, int green, int blue) {
    int right = 1;
    for (int pixel = 0; pixel < count; pixel++)
        right = right && abs(pixels[3 * pixel] - red) <= 3 &&
                abs(pixels[3 * pixel + 1] - green) <= 3 && abs(pixels[3 * pixel + 2] - blue) <= 3;
    return right;
}

static void test_colours(void) {
    static const struct {
        int components;
        uint8_t colour[4];
        int red, green, blue;
    } cases[] = {{1, {90}, 90, 90, 90},
                 {3, {200, 40, 120}, 200, 40, 120},
                 {4, {255, 128, 64, 200}, 200, 100, 50}};
    for (int index = 0; index < 3; index++) {
        const char *path = fixture_path(fixture_folder(), "colour.jpg");
        ls_error error = {0};
        jpeg_image found;
        flat(cases[index].components, cases[index].colour);
        write_jpeg(path, picture, 100, 120, cases[index].components);
        CHECK(jpeg_read(path, 100, &found, &error) == LS_OK, "%s", error.text);
        CHECK(found.height == 100 && found.width == 120);
        CHECK(found.pixels && is_flat(found.pixels, 100 * 120, cases[index].red, cases[index].green,
                                      cases[index].blue),
              "%d components: %d %d %d", cases[index].components, found.pixels[0], found.pixels[1],
              found.pixels[2]);
        free(found.pixels);
    }
    check_case("grey, RGB and CMYK files become RGB");
}

static void test_scaled(void) {
    const char *path = fixture_path(fixture_folder(), "scaled.jpg");
    static const struct {
        int wanted, height;
    } cases[] = {{200, 256}, {129, 256}, {128, 256}, {64, 128}, {33, 128}, {16, 32}, {8, 32}};
    static const uint8_t colour[3] = {10, 200, 30};
    flat(3, colour);
    write_jpeg(path, picture, 256, 300, 3);
    for (int index = 0; index < 7; index++) {
        ls_error error = {0};
        jpeg_image found;
        CHECK(jpeg_read(path, cases[index].wanted, &found, &error) == LS_OK, "%s", error.text);
        CHECK(found.height == cases[index].height, "%d: %d", cases[index].wanted, found.height);
        free(found.pixels);
    }
    check_case("the decoder scales down while twice the wanted size remains");
}

static void test_broken(void) {
    const char *path = fixture_path(fixture_folder(), "broken.jpg");
    struct stat found;
    for (size_t at = 0; at < sizeof picture; at++)
        picture[at] = (uint8_t)(at * 2654435761u >> 24);
    write_jpeg(path, picture, 128, 128, 3);
    CHECK(stat(path, &found) == 0);
    for (int64_t bytes = found.st_size - 3; bytes >= 0; bytes -= 1 + found.st_size / 17) {
        ls_error error = {0};
        jpeg_image image;
        damage_truncate(path, bytes);
        CHECK(jpeg_read(path, 128, &image, &error) == LS_BAD_INPUT, "cut to %lld bytes",
              (long long)bytes);
        CHECK(strstr(error.text, "broken.jpg") != NULL && !image.pixels, "%s", error.text);
    }
    ls_error error = {0};
    jpeg_image image;
    damage_text(path);
    CHECK(jpeg_read(path, 128, &image, &error) == LS_BAD_INPUT);
    error = (ls_error){0};
    CHECK(jpeg_read("/nowhere/at/all.jpg", 128, &image, &error) == LS_BAD_INPUT);
    CHECK(strstr(error.text, "No such file") != NULL, "%s", error.text);
    check_case("a JPEG that is cut, no JPEG or absent is bad input and named");
}

/* The file with one byte changed, `offset` behind the first place where `marker` stands. */
static void write_changed(const char *path, uint8_t *file, size_t bytes, const void *marker,
                          size_t marker_bytes, size_t offset, uint8_t value) {
    uint8_t *at = memmem(file, bytes, marker, marker_bytes);
    CHECK(at != NULL);
    if (!at)
        return;
    uint8_t before = at[offset];
    at[offset] = value;
    ls_error error = {0};
    CHECK(atomic_file_write(path, file, bytes, &error) == LS_OK, "%s", error.text);
    at[offset] = before;
}

/* What a decoder warns of, and no pixel depends on: as phones and old programs write it. */
static void test_forgiven(void) {
    static uint8_t file[1 << 17];
    const char *path = fixture_path(fixture_folder(), "odd.jpg");
    ls_error error = {0};
    jpeg_image whole, found;
    for (size_t at = 0; at < sizeof picture; at++)
        picture[at] = (uint8_t)(at * 2654435761u >> 24);
    write_jpeg(path, picture, 64, 64, 3);
    FILE *stream = fopen(path, "rb");
    size_t bytes = stream ? fread(file, 1, sizeof file, stream) : 0;
    if (stream)
        fclose(stream);
    CHECK(jpeg_read(path, 64, &whole, &error) == LS_OK && !whole.warned, "%s", error.text);
    for (int index = 0; index < 5; index++) {
        if (index == 0) /* JFIF 2.01 */
            write_changed(path, file, bytes, "JFIF", 5, 5, 2);
        else if (index == 1) /* SOS of three components: Ss of 1 */
            write_changed(path, file, bytes, "\xff\xda", 2, 11, 1);
        else if (index == 2) /* Se of 0 */
            write_changed(path, file, bytes, "\xff\xda", 2, 12, 0);
        else if (index == 3) /* no end marker */
            CHECK(atomic_file_write(path, file, bytes - 2, &error) == LS_OK);
        else { /* stray bytes before it */
            memcpy(file + bytes - 2, "\x11\x22\xff\xd9", 4);
            CHECK(atomic_file_write(path, file, bytes + 2, &error) == LS_OK);
        }
        CHECK(jpeg_read(path, 64, &found, &error) == LS_OK, "%d: %s", index, error.text);
        CHECK(found.pixels && memcmp(found.pixels, whole.pixels, 64 * 64 * 3) == 0, "%d", index);
        CHECK(found.warned, "%d", index);
        free(found.pixels);
    }
    free(whole.pixels);
    check_case(
        "a JPEG that breaks the standard where no pixel depends on it is taken, and counted");
}

static void test_resize(void) {
    static uint8_t out[64 * 64 * 3];
    ls_error error = {0};
    static const uint8_t colour[3] = {7, 130, 255};
    flat(3, colour);
    for (int size = 1; size <= 64; size += 9) {
        CHECK(resize_square(picture, 100, 37, size, out, &error) == LS_OK);
        int right = 1;
        for (int at = 0; at < size * size * 3; at++)
            right = right && out[at] == colour[at % 3];
        CHECK(right, "a flat image to %d", size);
    }
    for (int at = 0; at < 48 * 48 * 3; at++)
        picture[at] = (uint8_t)(at * 31);
    CHECK(resize_square(picture, 48, 48, 48, out, &error) == LS_OK);
    CHECK(memcmp(picture, out, 48 * 48 * 3) == 0, "the same size is the same image");
    /* A one-pixel checkerboard, reduced, is grey: every pixel counts. */
    for (int y = 0; y < 256; y++)
        for (int x = 0; x < 256; x++)
            memset(picture + (y * 256 + x) * 3, (x + y) % 2 ? 255 : 0, 3);
    CHECK(resize_square(picture, 256, 256, 32, out, &error) == LS_OK);
    for (int at = 0; at < 32 * 32 * 3; at++)
        CHECK(abs(out[at] - 127) <= 8, "[%d] %d", at, out[at]);
    check_case("resampling keeps flat and equal images and skips no pixel");
}

/* A ramp along the longer side: the crop is its middle, and the ramp stays a ramp. */
static void test_crop(void) {
    static uint8_t out[50 * 50 * 3];
    ls_error error = {0};
    for (int y = 0; y < 100; y++)
        for (int x = 0; x < 200; x++)
            memset(picture + (y * 200 + x) * 3, x, 3);
    CHECK(resize_square(picture, 100, 200, 50, out, &error) == LS_OK);
    for (int x = 0; x < 50; x++)
        CHECK(fabs(out[x * 3] - (50 + 2 * (x + 0.5) - 0.5)) <= 1, "column %d: %d", x, out[x * 3]);
    check_case("the crop is the middle of the longer side");
}

static void test_synthetic(void) {
    static uint8_t whole[40 * 3072], part[40 * 3072];
    static int32_t labels[40];
    source *from = NULL;
    ls_error error = {0};
    int64_t warned = 0;
    synthetic_settings settings = {
        .images = 40, .test_images = 40, .classes = 10, .size = 32, .seed = 1};
    CHECK(source_synthetic_open(&settings, &from, &error) == LS_OK, "%s", error.text);
    from->is->fill(from, SPLIT_TRAIN, 0, 40, whole, labels, &warned, &error);
    for (int64_t index = 39; index >= 0; index--)
        from->is->fill(from, SPLIT_TRAIN, index, 1, part + index * 3072, labels, &warned, &error);
    CHECK(memcmp(whole, part, sizeof whole) == 0, "an image depends on the order it is made in");
    from->is->fill(from, SPLIT_TEST, 0, 40, part, labels, &warned, &error);
    CHECK(memcmp(whole, part, 3072) != 0, "test images are training images");
    source_close(from);
    settings.classes = 1000;
    CHECK(source_synthetic_open(&settings, &from, &error) == LS_BAD_INPUT && !from);
    CHECK(strstr(error.text, "--classes: expected at most") != NULL, "%s", error.text);
    check_case("a generated image is a function of seed, split and index");
}

/* Class c's images have the grey value 20 (c + 1). */
static void make_class(const char *split, int class, int count) {
    const uint8_t colour[1] = {(uint8_t)(20 * (class + 1))};
    char name[64];
    snprintf(name, sizeof name, "%s/class%d", split, class);
    const char *folder = fixture_path(fixture_folder(), name);
    ls_error error = {0};
    CHECK(folder_create(folder, &error) == LS_OK, "%s", error.text);
    flat(1, colour);
    for (int index = 0; index < count; index++) {
        snprintf(name, sizeof name, "%d.%s", index, index % 2 ? "JPEG" : "jpg");
        write_jpeg(fixture_path(folder, name), picture, 20 + index, 30, 1);
    }
}

/* Counts images by class; the pixels must be those of the label's class. */
static void count_split(const source *from, int split, int counts[3]) {
    static uint8_t images[64 * 16 * 16 * 3];
    static int32_t labels[64];
    ls_error error = {0};
    int64_t warned = 0;
    memset(counts, 0, 3 * sizeof *counts);
    CHECK(from->is->fill(from, split, 0, from->images[split], images, labels, &warned, &error) ==
              LS_OK,
          "%s", error.text);
    for (int64_t index = 0; index < from->images[split]; index++) {
        int value = 20 * (labels[index] + 1);
        counts[labels[index]]++;
        CHECK(is_flat(images + index * 768, 256, value, value, value));
    }
}

static void test_folders(void) {
    const char *root = fixture_path(fixture_folder(), "whole");
    image_folder_settings settings = {.size = 16, .test_fraction = 0.25, .seed = 1};
    ls_error error = {0};
    source *from = NULL, *again = NULL;
    int train[3], test[3], train_again[3], test_again[3];
    for (int class = 0; class < 3; class ++)
        make_class("whole", class, 8);
    CHECK(source_images_open(root, &settings, &from, &error) == LS_OK, "%s", error.text);
    CHECK(source_images_open(root, &settings, &again, &error) == LS_OK, "%s", error.text);
    CHECK(from->images[SPLIT_TRAIN] == 18 && from->images[SPLIT_TEST] == 6);
    count_split(from, SPLIT_TRAIN, train);
    count_split(from, SPLIT_TEST, test);
    count_split(again, SPLIT_TRAIN, train_again);
    count_split(again, SPLIT_TEST, test_again);
    CHECK(memcmp(train, train_again, sizeof train) == 0 &&
          memcmp(test, test_again, sizeof test) == 0);
    for (int class = 0; class < 3; class ++)
        CHECK(train[class] + test[class] == 8, "class %d: %d + %d", class, train[class],
              test[class]);
    source_close(from);
    source_close(again);
    make_class("parts/train", 0, 3);
    make_class("parts/train", 1, 4);
    make_class("parts/val", 1, 2);
    root = fixture_path(fixture_folder(), "parts");
    CHECK(source_images_open(root, &settings, &from, &error) == LS_OK, "%s", error.text);
    count_split(from, SPLIT_TRAIN, train);
    count_split(from, SPLIT_TEST, test);
    CHECK(train[0] == 3 && train[1] == 4 && test[0] == 0 && test[1] == 2);
    source_close(from);
    check_case(
        "folders of classes: every image once, the split the same each time; train/ and val/");
}

int main(void) {
    test_colours();
    test_scaled();
    test_broken();
    test_forgiven();
    test_resize();
    test_crop();
    test_synthetic();
    test_folders();
    fixture_end();
    return check_done();
}
