/* The table of choices and its file (cuda/choices.h), above all what a damaged file does: nothing.
 * That a choice read from it builds a plan, and one of garbage is chosen again, is shown where
 * cuDNN runs (tests/emulated/). */
#include "../../cuda/choices.h"
#include "../unit/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/lockstep-choices-XXXXXX";
static char path[128];

static const conv_choice narrow = {
    .parameter_type = DTYPE_BF16,
    .engine = {.index = 10, .knob_count = 3, .knobs = {{2, 4}, {13, 0}, {27, 8}}}};
static const conv_choice plain = {.parameter_type = DTYPE_F32, .engine = {.index = 0}};

static conv_choices *create(const char *gpu, size_t version) {
    conv_choices *made = NULL;
    ls_error error = {0};
    CHECK(conv_choices_create(gpu, version, path, &made, &error) == LS_OK, "%s", error.text);
    return made;
}

static void put(conv_choices *self, const char *shape, const conv_choice *choice) {
    ls_error error = {0};
    CHECK(conv_choices_put(self, shape, choice, true, &error) == LS_OK, "%s", error.text);
}

static bool has(const conv_choices *self, const char *shape, const conv_choice *expected) {
    conv_choice found;
    return conv_choices_find(self, shape, &found) &&
           found.parameter_type == expected->parameter_type &&
           conv_engine_equal(&found.engine, &expected->engine);
}

static size_t read_file(char *text, size_t bytes) {
    FILE *file = fopen(path, "rb");
    size_t length = file ? fread(text, 1, bytes, file) : 0;
    if (file)
        fclose(file);
    return length;
}

static void write_file(const char *text, size_t length) {
    FILE *file = fopen(path, "wb");
    CHECK(file && fwrite(text, 1, length, file) == length, "%s", path);
    if (file)
        fclose(file);
}

/* The file as a run on an H200 leaves it: two choices. */
static void leave_file(void) {
    unlink(path);
    conv_choices *self = create("NVIDIA H200", 91900);
    put(self, "forward one", &narrow);
    put(self, "wgrad two", &plain);
    conv_choices_save(self);
    conv_choices_destroy(self);
}

static void keys(void) {
    char text[CONV_SHAPE_TEXT_BYTES];
    conv2d_shape shape = {.n = 64,
                          .height = 32,
                          .width = 32,
                          .in_channels = 3,
                          .out_channels = 64,
                          .kernel = 3,
                          .stride = 1,
                          .padding = 1,
                          .type = DTYPE_BF16,
                          .relu = true};
    conv_shape_text(&shape, CONV_FORWARD, text);
    CHECK(strcmp(text, "forward n64 h32 w32 c3 k64 r3 s1 p1 bf16 relu") == 0, "%s", text);
    shape.type = DTYPE_F32;
    shape.tf32 = true;
    conv_shape_text(&shape, CONV_BACKWARD_WEIGHTS, text);
    CHECK(strcmp(text, "wgrad n64 h32 w32 c3 k64 r3 s1 p1 tf32") == 0, "%s", text);
    check_case("a shape's text");
}

static void kept(void) {
    leave_file();
    conv_choices *self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow) && has(self, "wgrad two", &plain), "%s",
          conv_choices_note(self));
    CHECK(!has(self, "forward three", &narrow), "a shape that is not there");
    CHECK(!conv_choices_imported(self), "a file is no import");
    put(self, "forward one", &plain);
    CHECK(has(self, "forward one", &plain), "overwritten");
    conv_choices_destroy(self);
    check_case("a file is written and read");

    self = create("NVIDIA H200", 91800);
    CHECK(!has(self, "forward one", &narrow), "another cuDNN's choice is taken");
    put(self, "forward one", &plain);
    conv_choices_save(self);
    conv_choices_destroy(self);
    self = create("NVIDIA A100", 91900);
    CHECK(!has(self, "forward one", &narrow), "another GPU's choice is taken");
    conv_choices_destroy(self);
    self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow), "another cuDNN's run took its place");
    conv_choices_destroy(self);
    check_case("choices of another GPU or cuDNN are not taken, and stay");
}

static void passing(void) {
    ls_error error = {0};
    char *text;
    unlink(path);
    conv_choices *self = create("NVIDIA H200", 91900);
    CHECK(conv_choices_put(self, "forward one", &narrow, false, &error) == LS_OK, "%s", error.text);
    put(self, "wgrad two", &plain);
    CHECK(conv_choices_export(self, &text, &error) == LS_OK && strstr(text, "forward one"), "%s",
          text);
    free(text);
    conv_choices_save(self);
    conv_choices_destroy(self);
    self = create("NVIDIA H200", 91900);
    CHECK(!has(self, "forward one", &narrow) && has(self, "wgrad two", &plain), "what is kept");
    conv_choices_destroy(self);
    check_case("a choice that was not timed is sent, and not kept");
}

static void two_runs(void) {
    unlink(path);
    conv_choices *first = create("NVIDIA H200", 91900), *second = create("NVIDIA H200", 91900);
    put(first, "forward one", &narrow);
    put(second, "wgrad two", &plain);
    conv_choices_save(first);
    conv_choices_save(second);
    conv_choices_destroy(first);
    conv_choices_destroy(second);
    conv_choices *self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow) && has(self, "wgrad two", &plain), "one is lost");
    conv_choices_destroy(self);
    check_case("two runs at once keep what both have found");
}

/* Whatever the file holds: no crash, and an entry is either right or absent. */
static void read_damaged(const char *what) {
    conv_choices *self = create("NVIDIA H200", 91900);
    conv_choice found;
    if (!self)
        return;
    CHECK(!conv_choices_find(self, "forward one", &found) || has(self, "forward one", &narrow),
          "%s: a wrong choice", what);
    CHECK(!conv_choices_find(self, "wgrad two", &found) || has(self, "wgrad two", &plain),
          "%s: a wrong choice", what);
    conv_choices_destroy(self);
}

static void damaged(void) {
    char text[4096], copy[4096];
    leave_file();
    size_t length = read_file(text, sizeof text);
    CHECK(length > 100, "%zu bytes", length);
    for (size_t cut = 0; cut < length; cut++) {
        write_file(text, cut);
        read_damaged("cut");
    }
    check_case("a file cut anywhere");
    for (size_t at = 0; at < length; at++) {
        memcpy(copy, text, length);
        copy[at] = (char)(copy[at] ^ (1 << at % 8));
        write_file(copy, length);
        read_damaged("flipped");
    }
    check_case("a flipped bit in any byte");
    for (int round = 0; round < 200; round++) {
        for (size_t at = 0; at < sizeof copy; at++)
            copy[at] = (char)(rand() >> 7);
        memcpy(copy, text, round % 2 ? strcspn(text, "\n") + 1 : 0);
        write_file(copy, sizeof copy);
        read_damaged("noise");
    }
    check_case("noise");

    memcpy(copy, text, length);
    copy[length - 2] ^= 1; /* in the last line's checksum */
    write_file(copy, length);
    conv_choices *self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow), "the good line is lost too");
    CHECK(strstr(conv_choices_note(self), "1 of its 2 lines are damaged") != NULL, "%s",
          conv_choices_note(self));
    put(self, "wgrad two", &plain);
    conv_choices_save(self);
    conv_choices_destroy(self);
    self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow) && has(self, "wgrad two", &plain), "not rebuilt");
    CHECK(!strstr(conv_choices_note(self), "damaged"), "%s", conv_choices_note(self));
    conv_choices_destroy(self);
    check_case("a damaged file is told of and rebuilt");
}

static void unreadable(void) {
    unlink(path);
    mkdir(path, 0700);
    conv_choices *self = create("NVIDIA H200", 91900);
    CHECK(strstr(conv_choices_note(self), "Is a directory") != NULL, "%s", conv_choices_note(self));
    put(self, "forward one", &narrow);
    conv_choices_save(self);
    CHECK(strstr(conv_choices_note(self), "not kept") != NULL, "%s", conv_choices_note(self));
    CHECK(has(self, "forward one", &narrow), "lost");
    conv_choices_destroy(self);
    rmdir(path);
    check_case("a folder in the file's place");

    char whole[sizeof path];
    memcpy(whole, path, sizeof path);
    snprintf(path, sizeof path, "%s/new/folder/choices", folder);
    leave_file();
    self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow), "%s", conv_choices_note(self));
    conv_choices_destroy(self);
    unlink(path);
    memcpy(path, whole, sizeof path);
    check_case("a file's folder is made");
}

static int import(const char *text, const char *gpu, size_t version, conv_choices **out,
                  ls_error *error) {
    memset(error, 0, sizeof *error);
    CHECK(conv_choices_create(gpu, version, "", out, error) == LS_OK, "%s", error->text);
    return conv_choices_import(*out, text, error);
}

static void sent(void) {
    char *text;
    ls_error error = {0};
    leave_file();
    conv_choices *root = create("NVIDIA H200", 91900), *other;
    CHECK(conv_choices_export(root, &text, &error) == LS_OK, "%s", error.text);
    CHECK(import(text, "NVIDIA H200", 91900, &other, &error) == LS_OK, "%s", error.text);
    CHECK(conv_choices_imported(other) && has(other, "forward one", &narrow) &&
              has(other, "wgrad two", &plain),
          "not all came");
    conv_choices_destroy(other);
    CHECK(import(text, "NVIDIA A100", 91900, &other, &error) == LS_OK, "%s", error.text);
    CHECK(conv_choices_imported(other) && !has(other, "forward one", &narrow), "another GPU's");
    conv_choices_destroy(other);
    check_case("rank 0's choices reach another rank");

    CHECK(import(text, "NVIDIA H200", 91800, &other, &error) == LS_FAILED &&
              strstr(error.text, "91900") && strstr(error.text, "91800"),
          "%s", error.text);
    conv_choices_destroy(other);
    text[strlen(text) - 3] ^= 1;
    CHECK(import(text, "NVIDIA H200", 91900, &other, &error) == LS_FAILED, "damaged in transit");
    conv_choices_destroy(other);
    CHECK(import("", "NVIDIA H200", 91900, &other, &error) == LS_FAILED, "nothing came");
    conv_choices_destroy(other);
    conv_choices_destroy(root);
    free(text);
    check_case("what does not fit is refused");
}

int main(void) {
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/choices", folder);
    keys();
    kept();
    passing();
    two_runs();
    damaged();
    unreadable();
    sent();
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || check_done();
}
