/* Files on their way into an encoded data set: what is kept, what is converted and how it then
 * looks, what is refused; files that change while they are read; the memory bound. */
#include "../check.h"
#include "data/file_read.h"
#include "data/image_file.h"
#include "data/jpeg.h"
#include "data/png_image.h"
#include "data_fixture.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <jpeglib.h>

enum { HEIGHT = 32, WIDTH = 48 };

typedef struct made {
    unsigned char *bytes;
    unsigned long length;
} made;

/* How a file is made: its components, coding, and an orientation in EXIF (0: none). */
typedef struct form {
    int components;
    bool arithmetic, progressive;
    int orientation;
} form;

/* Four quarters of flat colour: red, green; blue, white. */
static void quarter(int y, int x, int height, int width, uint8_t *out) {
    static const uint8_t colours[4][3] = {{250, 5, 5}, {5, 250, 5}, {5, 5, 250}, {250, 250, 250}};
    memcpy(out, colours[(y >= height / 2) * 2 + (x >= width / 2)], 3);
}

static void write_exif(struct jpeg_compress_struct *encoder, int orientation) {
    uint8_t exif[] = {'E', 'x', 'i', 'f', 0, 0, 'M', 'M', 0, 42, 0, 0, 0, 8, /* big-endian */
                      0,   1,   1,   18,  0, 3, 0,   0,   0, 1,  0, 0, 0, 0, 0, 0, 0, 0};
    exif[25] = (uint8_t)orientation;
    jpeg_write_marker(encoder, JPEG_APP0 + 1, exif, sizeof exif);
}

static made make(const form *as) {
    struct jpeg_compress_struct encoder;
    struct jpeg_error_mgr manager;
    made out = {0};
    encoder.err = jpeg_std_error(&manager);
    jpeg_create_compress(&encoder);
    jpeg_mem_dest(&encoder, &out.bytes, &out.length);
    encoder.image_width = WIDTH;
    encoder.image_height = HEIGHT;
    encoder.input_components = as->components;
    encoder.in_color_space = as->components == 4   ? JCS_CMYK
                             : as->components == 3 ? JCS_RGB
                                                   : JCS_GRAYSCALE;
    jpeg_set_defaults(&encoder);
    jpeg_set_quality(&encoder, 95, TRUE);
    encoder.arith_code = as->arithmetic;
    if (as->progressive)
        jpeg_simple_progression(&encoder);
    jpeg_start_compress(&encoder, TRUE);
    if (as->orientation)
        write_exif(&encoder, as->orientation);
    while (encoder.next_scanline < HEIGHT) {
        uint8_t row[WIDTH * 4], *at = row;
        for (int x = 0; x < WIDTH; x++, at += as->components) {
            uint8_t colour[4] = {0, 0, 0, 255}; /* Adobe's CMYK: inverted, no black */
            quarter((int)encoder.next_scanline, x, HEIGHT, WIDTH, colour);
            memcpy(at, colour, (size_t)as->components);
        }
        JSAMPROW rows = row;
        jpeg_write_scanlines(&encoder, &rows, 1);
    }
    jpeg_finish_compress(&encoder);
    jpeg_destroy_compress(&encoder);
    return out;
}

static const image_file_settings plain = {.decode = true, .quality = 95};

static int take(const image_file_settings *settings, const made *from, image_file *out,
                ls_error *error) {
    memory_budget budget;
    budget_start(&budget, 64 << 20);
    *error = (ls_error){0};
    int status =
        image_file_take(settings, &budget, "file.jpg", from->bytes, from->length, out, error);
    CHECK(budget.left == budget.total, "something was not given back");
    budget_end(&budget);
    return status;
}

/* Is pixel (y, x) about this colour? */
static int shows(const jpeg_image *image, int y, int x, int red, int green, int blue) {
    const uint8_t *at = image->pixels + ((size_t)y * (size_t)image->width + (size_t)x) * 3;
    return abs(at[0] - red) < 25 && abs(at[1] - green) < 25 && abs(at[2] - blue) < 25;
}

/* Decodes what a file became, and compares the middles of its quarters with the colours at
 * `places`: which quarter of the original is shown top left, top right, bottom left, bottom right.
 */
static void check_quarters(const image_file *file, int height, int width, const int *places) {
    static const int colours[4][3] = {{250, 5, 5}, {5, 250, 5}, {5, 5, 250}, {250, 250, 250}};
    jpeg_image image;
    ls_error error = {0};
    CHECK(file->bytes && file->height == height && file->width == width, "%d x %d", file->height,
          file->width);
    CHECK(jpeg_decode("it", file->bytes, file->length, 0, &image, &error) == LS_OK, "%s",
          error.text);
    CHECK(image.height == height && image.width == width);
    for (int part = 0; part < 4; part++) {
        const int *colour = colours[places[part]];
        CHECK(shows(&image, height / 4 + (part / 2) * height / 2,
                    width / 4 + (part % 2) * width / 2, colour[0], colour[1], colour[2]),
              "quarter %d", part);
    }
    free(image.pixels);
}

static const int upright[4] = {0, 1, 2, 3};

static void test_kept(void) {
    static const form forms[] = {{.components = 3},
                                 {.components = 1},
                                 {.components = 3, .progressive = true},
                                 {.components = 3, .orientation = 6}};
    for (int index = 0; index < 4; index++) {
        made from = make(&forms[index]);
        image_file file;
        ls_error error;
        CHECK(take(&plain, &from, &file, &error) == LS_OK, "%s", error.text);
        CHECK(!file.bytes && file.length == from.length && file.height == HEIGHT &&
              file.width == WIDTH && !file.warned && !file.odd && !file.became[0]);
        free(from.bytes);
    }
    check_case("colour, grey, progressive and turned files stay as they are");
}

static void test_converted(void) {
    static const struct {
        form form;
        const char *reason;
    } kinds[] = {{{.components = 4}, "CMYK"},
                 {{.components = 3, .arithmetic = true}, "arithmetic coding"}};
    for (int index = 0; index < 2; index++) {
        made from = make(&kinds[index].form);
        image_file file;
        ls_error error;
        CHECK(take(&plain, &from, &file, &error) == LS_OK, "%s", error.text);
        CHECK(strcmp(file.became, kinds[index].reason) == 0 && file.odd, "%s", file.became);
        check_quarters(&file, HEIGHT, WIDTH, upright);
        free(file.bytes);
        free(from.bytes);
    }
    check_case("CMYK and arithmetic coding become JPEG of the same pixels");
}

/* EXIF 2.3, 4.6.4: what is shown where for each orientation. */
static void test_turned(void) {
    static const int shown[9][4] = {{0},          {0, 1, 2, 3}, {1, 0, 3, 2},
                                    {3, 2, 1, 0}, {2, 3, 0, 1}, {0, 2, 1, 3},
                                    {2, 0, 3, 1}, {3, 1, 2, 0}, {1, 3, 0, 2}};
    image_file_settings settings = plain;
    settings.apply_exif = true;
    for (int orientation = 2; orientation <= 8; orientation++) {
        form as = {.components = 3, .orientation = orientation};
        made from = make(&as);
        image_file file;
        ls_error error;
        bool sides = orientation >= 5;
        CHECK(take(&settings, &from, &file, &error) == LS_OK, "%s", error.text);
        check_quarters(&file, sides ? WIDTH : HEIGHT, sides ? HEIGHT : WIDTH, shown[orientation]);
        free(file.bytes);
        free(from.bytes);
    }
    check_case("--exif apply: each orientation as EXIF defines it");
}

static void test_shrunk(void) {
    form as = {.components = 3, .orientation = 6};
    made from = make(&as);
    image_file_settings settings = {.decode = true, .quality = 90, .max_side = 24};
    image_file file;
    ls_error error;
    CHECK(take(&settings, &from, &file, &error) == LS_OK, "%s", error.text);
    CHECK(strstr(file.became, "32 x 48 shrunk to 16 x 24") && !file.odd, "%s", file.became);
    check_quarters(&file, 16, 24, upright);
    free(file.bytes);
    settings.apply_exif = true;
    CHECK(take(&settings, &from, &file, &error) == LS_OK, "%s", error.text);
    check_quarters(&file, 24, 16, (const int[]){2, 0, 3, 1});
    free(file.bytes);
    settings = (image_file_settings){.quality = 30, .encode_all = true};
    CHECK(take(&settings, &from, &file, &error) == LS_OK, "%s", error.text);
    CHECK(file.bytes && file.length < from.length && strcmp(file.became, "encoded again") == 0);
    free(file.bytes);
    settings.quality = 100;
    CHECK(take(&settings, &from, &file, &error) == LS_OK, "%s", error.text);
    CHECK(!file.bytes && file.length == from.length && !file.became[0]);
    free(from.bytes);
    check_case("--max-side and --quality: what is smaller is kept");
}

static void test_refused(void) {
    form as = {.components = 3};
    made from = make(&as);
    image_file file;
    ls_error error;
    image_file_settings header = plain;
    header.decode = false;
    for (unsigned long length = 0; length + 2 < from.length; length += 7) {
        made cut = {from.bytes, length};
        CHECK(take(&plain, &cut, &file, &error) == LS_BAD_INPUT, "%lu", length);
        CHECK(strncmp(error.text, "file.jpg: ", 10) == 0, "%s", error.text);
        CHECK(take(&header, &cut, &file, &error) == LS_BAD_INPUT, "%lu", length);
    }
    check_case("a file cut anywhere is refused, by its header alone too");
    memory_budget budget;
    budget_start(&budget, 1000);
    error = (ls_error){0};
    CHECK(image_file_take(&plain, &budget, "file.jpg", from.bytes, from.length, &file, &error) ==
                  LS_BAD_INPUT &&
              strstr(error.text, "--memory"),
          "%s", error.text);
    budget_end(&budget);
    free(from.bytes);
    check_case("one that needs more memory than the bound is refused");
}

/* A flipped byte anywhere: taken or refused, never a crash, and nothing stays taken. */
static void test_flipped(void) {
    static const form forms[] = {{.components = 3},
                                 {.components = 3, .progressive = true},
                                 {.components = 4},
                                 {.components = 3, .arithmetic = true}};
    image_file_settings settings = plain;
    settings.apply_exif = true;
    for (int index = 0; index < 4; index++) {
        made from = make(&forms[index]);
        for (unsigned long at = 0; at < from.length; at++) {
            image_file file = {0};
            ls_error error;
            unsigned char before = from.bytes[at];
            from.bytes[at] ^= (unsigned char)(1 << at % 8);
            int status = take(&settings, &from, &file, &error);
            CHECK(status == LS_OK || status == LS_BAD_INPUT, "%s", error.text);
            free(file.bytes);
            from.bytes[at] = before;
        }
        free(from.bytes);
    }
    check_case("a flipped bit anywhere is taken or refused");
}

static void test_files(void) {
    const char *path = fixture_path(fixture_folder(), "picture.jpg");
    uint8_t out[64];
    ls_error error = {0};
    open_file file;
    CHECK(file_start(&file, path, 100, &error) == LS_BAD_INPUT &&
              strstr(error.text, "No such file"),
          "%s", error.text);
    damage_text(path);
    error = (ls_error){0};
    CHECK(file_start(&file, path, 3, &error) == LS_BAD_INPUT && strstr(error.text, "at most"), "%s",
          error.text);
    error = (ls_error){0};
    CHECK(file_start(&file, path, 64, &error) == LS_OK, "%s", error.text);
    unlink(path); /* its bytes are there while it is open */
    CHECK(file_read(&file, path, out, &error) == LS_OK, "%s", error.text);
    file_end(&file);
    damage_text(path);
    CHECK(file_start(&file, path, 64, &error) == LS_OK, "%s", error.text);
    CHECK(truncate(path, file.bytes - 1) == 0);
    CHECK(file_read(&file, path, out, &error) == LS_BAD_INPUT && strstr(error.text, "shorter"),
          "%s", error.text);
    file_end(&file);
    error = (ls_error){0};
    CHECK(file_start(&file, fixture_folder(), 64, &error) == LS_BAD_INPUT &&
              strstr(error.text, "no regular file"),
          "%s", error.text);
    check_case("files that vanish, shrink, are too large or no files");
}

/* Threads that take and give: never more than all at once. */
static memory_budget shared;
static _Atomic int64_t in_use, most_in_use;

static void *take_and_give(void *argument) {
    int64_t bytes = (int64_t)(uintptr_t)argument;
    for (int round = 0; round < 500; round++) {
        if (!budget_take(&shared, bytes))
            abort();
        int64_t now = atomic_fetch_add(&in_use, bytes) + bytes;
        if (now > most_in_use)
            most_in_use = now;
        atomic_fetch_sub(&in_use, bytes);
        budget_give(&shared, bytes);
    }
    return NULL;
}

static void test_budget(void) {
    pthread_t threads[4];
    budget_start(&shared, 100);
    CHECK(!budget_take(&shared, 101));
    for (int index = 0; index < 4; index++)
        CHECK(pthread_create(&threads[index], NULL, take_and_give,
                             (void *)(uintptr_t)(40 + index * 20)) == 0);
    for (int index = 0; index < 4; index++)
        pthread_join(threads[index], NULL);
    CHECK(most_in_use <= 100 && shared.left == 100);
    CHECK(budget_try(&shared, 60) && !budget_try(&shared, 60) && !budget_take(&shared, 41));
    budget_end(&shared);
    check_case("the bound is never passed, and who asks for more than is left for good is told");
}

int main(void) {
    test_kept();
    test_converted();
    test_turned();
    test_shrunk();
    test_refused();
    test_flipped();
    test_files();
    test_budget();
    fixture_end();
    return check_done();
}
