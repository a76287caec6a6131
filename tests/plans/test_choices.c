/* The table of choices and its file (cuda/choices/choices.h), above all what a damaged file does:
 * nothing. That a choice read from it builds a plan, and one of garbage is chosen again, is shown
 * where cuDNN runs (tests/emulated/). */
#include "../unit/check.h"
#include "base/hash.h"
#include "cuda/choices/choices.h"
#include "cuda/choices/choices_file.h"
#include "cuda/dnn/conv_graph.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/lockstep-choices-XXXXXX";
static char path[128];

static const dnn_choice narrow = {
    .form = DTYPE_BF16,
    .engine = {.index = 10, .knob_count = 3, .knobs = {{2, 4}, {13, 0}, {27, 8}}}};
static const dnn_choice plain = {.form = DTYPE_F32, .engine = {.index = 0}};

static choices *create_with(const char *gpu, size_t version, const char *shipped) {
    choices *made = NULL;
    ls_error error = {0};
    size_t versions[CHOICE_LIBRARIES] = {[CHOICE_CUDNN] = version, [CHOICE_CUBLASLT] = 130100};
    CHECK(choices_create(gpu, versions, shipped, path, &made, &error) == LS_OK, "%s", error.text);
    return made;
}

static choices *create(const char *gpu, size_t version) {
    return create_with(gpu, version, "");
}

static int put_as(choices *self, const char *shape, const dnn_choice *choice_put,
                  const char *measure, ls_error *error) {
    choice chosen = {.source = "best of 2"};
    dnn_choice_write(choice_put, chosen.text);
    return choices_put(self, CHOICE_CUDNN, shape, &chosen, measure, error);
}

static void put(choices *self, const char *shape, const dnn_choice *choice_put) {
    ls_error error = {0};
    CHECK(put_as(self, shape, choice_put, "12.30 us", &error) == LS_OK, "%s", error.text);
}

static bool is(const choice *found, const dnn_choice *expected) {
    dnn_choice read;
    return dnn_choice_read(found->text, &read) && read.form == expected->form &&
           dnn_engine_equal(&read.engine, &expected->engine);
}

static bool has(const choices *self, const char *shape, const dnn_choice *expected) {
    choice found;
    return choices_find(self, CHOICE_CUDNN, shape, &found) && is(&found, expected);
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
    choices *self = create("NVIDIA H200", 91900);
    put(self, "forward one", &narrow);
    put(self, "wgrad two", &plain);
    choices_save(self);
    choices_destroy(self);
}

static void keys(void) {
    ls_error error = {0};
    conv_problem problem;
    conv2d_shape shape = {.n = 64,
                          .height = 32,
                          .width = 32,
                          .in_channels = 3,
                          .out_channels = 64,
                          .kernel = 3,
                          .stride = 1,
                          .padding = 1,
                          .type = DTYPE_BF16,
                          .activation = ACTIVATION_RELU};
    CHECK(conv_problem_init(&shape, CONV_FORWARD, &problem, &error) == LS_OK, "%s", error.text);
    CHECK(strcmp(problem.base.key, "forward n64 h32 w32 c3 k64 r3 s1 p1 bf16 relu") == 0, "%s",
          problem.base.key);
    shape.type = DTYPE_F32;
    shape.tf32 = true;
    CHECK(conv_problem_init(&shape, CONV_BACKWARD_WEIGHTS, &problem, &error) == LS_OK, "%s",
          error.text);
    CHECK(strcmp(problem.base.key, "wgrad n64 h32 w32 c3 k64 r3 s1 p1 tf32") == 0, "%s",
          problem.base.key);
    check_case("a convolution's key");

    char most[CHOICE_KEY_BYTES + 1];
    memset(most, 'x', sizeof most - 1);
    most[sizeof most - 1] = '\0';
    CHECK(dnn_problem_set_key(&problem.base, &error, "%s", most + 1) == LS_OK, "%s", error.text);
    CHECK(strcmp(problem.base.key, most + 1) == 0, "cut: %s", problem.base.key);
    CHECK(dnn_problem_set_key(&problem.base, &error, "%s", most) == LS_FAILED &&
              strstr(error.text, "convolution") != NULL,
          "%s", error.text);
    check_case("a key that would be cut is refused");
}

static void kept(void) {
    leave_file();
    choices *self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow) && has(self, "wgrad two", &plain), "%s",
          choices_note(self));
    CHECK(!has(self, "forward three", &narrow), "a shape that is not there");
    CHECK(!choices_imported(self), "a file is no import");
    put(self, "forward one", &plain);
    CHECK(has(self, "forward one", &plain), "overwritten");
    choices_destroy(self); /* and not saved: the run was killed */
    self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &plain), "what was timed has gone with its run");
    choices_destroy(self);
    leave_file();
    check_case("a file is written and read, and has what was timed before a run is killed");

    self = create("NVIDIA H200", 91800);
    CHECK(!has(self, "forward one", &narrow), "another cuDNN's choice is taken");
    put(self, "forward one", &plain);
    choices_save(self);
    choices_destroy(self);
    self = create("NVIDIA A100", 91900);
    CHECK(!has(self, "forward one", &narrow), "another GPU's choice is taken");
    choices_destroy(self);
    self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow), "another cuDNN's run took its place");
    choices_destroy(self);
    check_case("choices of another GPU or cuDNN are not taken, and stay");
}

/* A line of the first format: cuDNN's version alone, and no measure. */
static void add_old_line(char *text, const char *key, const dnn_choice *of) {
    char line[CHOICE_LINE_BYTES], chosen[CHOICE_TEXT_BYTES];
    dnn_choice_write(of, chosen);
    snprintf(line, sizeof line, "NVIDIA H200\t91900\t%s\t%s\t", key, chosen);
    sprintf(text + strlen(text), "%s%016" PRIx64 "\n", line,
            hash_bytes(HASH_START, line, strlen(line)));
}

/* As programs wrote it that knew cuDNN only, or of it convolutions only. */
static void of_older_programs(void) {
    static const char *const titles[] = {"lockstep cuDNN choices 1",
                                         "lockstep convolution choices 1"};
    char text[4096], written[4096];
    for (int index = 0; index < 2; index++) {
        snprintf(text, sizeof text, "%s\n", titles[index]);
        add_old_line(text, "forward one", &narrow);
        add_old_line(text, "wgrad two", &plain);
        write_file(text, strlen(text));
        choices *self = create("NVIDIA H200", 91900);
        CHECK(has(self, "forward one", &narrow) && has(self, "wgrad two", &plain) &&
                  !choices_note(self)[0],
              "%s", choices_note(self));
        put(self, "norm three", &plain);
        choices_save(self);
        choices_destroy(self);
        written[read_file(written, sizeof written - 1)] = '\0';
        CHECK(strncmp(written, CHOICES_FIRST_LINE "\n", sizeof CHOICES_FIRST_LINE) == 0, "%s",
              written);
        self = create("NVIDIA H200", 91900);
        CHECK(has(self, "forward one", &narrow) && has(self, "norm three", &plain), "%s",
              choices_note(self));
        choices_destroy(self);
    }
    check_case("files of programs that knew cuDNN or convolutions alone are read, and grow");

    text[strcspn(text, "\n") - 1] = '2';
    write_file(text, strlen(text));
    choices *self = create("NVIDIA H200", 91900);
    CHECK(!has(self, "forward one", &narrow) &&
              strstr(choices_note(self), "it does not begin with") != NULL,
          "%s", choices_note(self));
    choices_destroy(self);
    check_case("a file of another format is told of and not read");
}

/* What the program brings along: times are choices, offers are asked for alone, and what the cache
 * file has comes before both; comments stay where they are. */
static void shipped(void) {
    char text[8192] = CHOICES_FIRST_LINE "\n# a comment\n", written[8192];
    choice found;
    choice_line line = {.gpu = "NVIDIA H200", .version = 91900, .measure = "9.50 us"};
    unlink(path);
    dnn_choice_write(&narrow, line.text);
    strcpy(line.key, "forward one");
    choice_line_write(&line, text + strlen(text));
    strcpy(line.key, "forward two");
    strcpy(line.measure, "offer, 1057808 bytes");
    choice_line_write(&line, text + strlen(text));
    strcpy(line.gpu, "NVIDIA A100"), strcpy(line.key, "forward three");
    choice_line_write(&line, text + strlen(text));
    choices *self = create_with("NVIDIA H200", 91900, text);
    CHECK(choices_find(self, CHOICE_CUDNN, "forward one", &found) && is(&found, &narrow) &&
              strcmp(found.source, "shipped") == 0,
          "%s", found.source);
    CHECK(!choices_find(self, CHOICE_CUDNN, "forward two", &found) &&
              choices_find_offer(self, CHOICE_CUDNN, "forward two", &found) && is(&found, &narrow),
          "an offer is a choice");
    CHECK(!choices_find_offer(self, CHOICE_CUDNN, "forward three", &found) &&
              !choices_find(self, CHOICE_CUBLASLT, "forward one", &found),
          "another GPU's, another library's");
    put(self, "forward two", &plain);
    CHECK(has(self, "forward two", &plain), "an offer stands before what was timed");
    choices_save(self);
    choices_destroy(self);
    self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward two", &plain) && !has(self, "forward one", &narrow),
          "what was shipped is copied");
    choices_destroy(self);
    write_file(text, strlen(text));
    self = create_with("NVIDIA H200", 91900, text);
    put(self, "forward two", &plain);
    choices_save(self);
    choices_destroy(self);
    written[read_file(written, sizeof written - 1)] = '\0';
    CHECK(strstr(written, "\n# a comment\n") && strstr(written, "forward three") &&
              strstr(written, "9.50 us") && strstr(written, "12.30 us") &&
              !strstr(written, "forward two\tbf16"),
          "%s", written);
    check_case("choices that the program brings along");

    choices_file ours;
    choices_file_parse(choices_shipped, strlen(choices_shipped), &ours);
    CHECK(!ours.problem[0] && ours.comments[0], "shipped.txt: %s", ours.problem);
    printf("# shipped.txt has %d lines\n", ours.count);
    choices_file_free(&ours);
    check_case("shipped.txt is whole");
}

static void passing(void) {
    ls_error error = {0};
    char *text;
    unlink(path);
    choices *self = create("NVIDIA H200", 91900);
    CHECK(put_as(self, "forward one", &narrow, NULL, &error) == LS_OK, "%s", error.text);
    put(self, "wgrad two", &plain);
    CHECK(choices_export(self, &text, &error) == LS_OK && strstr(text, "forward one"), "%s", text);
    free(text);
    choices_save(self);
    choices_destroy(self);
    self = create("NVIDIA H200", 91900);
    CHECK(!has(self, "forward one", &narrow) && has(self, "wgrad two", &plain), "what is kept");
    choices_destroy(self);
    check_case("a choice that was not timed is sent, and not kept");
}

static void two_runs(void) {
    unlink(path);
    choices *first = create("NVIDIA H200", 91900), *second = create("NVIDIA H200", 91900);
    put(first, "forward one", &narrow);
    put(second, "wgrad two", &plain);
    choices_save(first);
    choices_save(second);
    choices_destroy(first);
    choices_destroy(second);
    choices *self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow) && has(self, "wgrad two", &plain), "one is lost");
    choices_destroy(self);
    check_case("two runs at once keep what both have found");
}

/* Whatever the file holds: no crash, and an entry is either right or absent. */
static void read_damaged(const char *what) {
    choices *self = create("NVIDIA H200", 91900);
    choice found;
    if (!self)
        return;
    CHECK(!choices_find(self, CHOICE_CUDNN, "forward one", &found) ||
              has(self, "forward one", &narrow),
          "%s: a wrong choice", what);
    CHECK(!choices_find(self, CHOICE_CUDNN, "wgrad two", &found) || has(self, "wgrad two", &plain),
          "%s: a wrong choice", what);
    choices_destroy(self);
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
    choices *self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow), "the good line is lost too");
    CHECK(strstr(choices_note(self), "1 of its 2 lines are damaged") != NULL, "%s",
          choices_note(self));
    put(self, "wgrad two", &plain);
    choices_save(self);
    choices_destroy(self);
    self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow) && has(self, "wgrad two", &plain), "not rebuilt");
    CHECK(!strstr(choices_note(self), "damaged"), "%s", choices_note(self));
    choices_destroy(self);
    check_case("a damaged file is told of and rebuilt");
}

static void unreadable(void) {
    unlink(path);
    mkdir(path, 0700);
    choices *self = create("NVIDIA H200", 91900);
    CHECK(strstr(choices_note(self), "Is a directory") != NULL, "%s", choices_note(self));
    put(self, "forward one", &narrow);
    choices_save(self);
    CHECK(strstr(choices_note(self), "not kept") != NULL, "%s", choices_note(self));
    CHECK(has(self, "forward one", &narrow), "lost");
    choices_destroy(self);
    rmdir(path);
    check_case("a folder in the file's place");

    char whole[sizeof path];
    memcpy(whole, path, sizeof path);
    snprintf(path, sizeof path, "%s/new/folder/choices", folder);
    leave_file();
    self = create("NVIDIA H200", 91900);
    CHECK(has(self, "forward one", &narrow), "%s", choices_note(self));
    choices_destroy(self);
    unlink(path);
    memcpy(path, whole, sizeof path);
    check_case("a file's folder is made");
}

static int import(const char *text, const char *gpu, size_t version, choices **out,
                  ls_error *error) {
    memset(error, 0, sizeof *error);
    size_t versions[CHOICE_LIBRARIES] = {[CHOICE_CUDNN] = version, [CHOICE_CUBLASLT] = 130100};
    CHECK(choices_create(gpu, versions, "", "", out, error) == LS_OK, "%s", error->text);
    return choices_import(*out, text, error);
}

static void sent(void) {
    char *text;
    ls_error error = {0};
    leave_file();
    choices *root = create("NVIDIA H200", 91900), *other;
    CHECK(choices_export(root, &text, &error) == LS_OK, "%s", error.text);
    CHECK(import(text, "NVIDIA H200", 91900, &other, &error) == LS_OK, "%s", error.text);
    CHECK(choices_imported(other) && has(other, "forward one", &narrow) &&
              has(other, "wgrad two", &plain),
          "not all came");
    choices_destroy(other);
    CHECK(import(text, "NVIDIA A100", 91900, &other, &error) == LS_OK, "%s", error.text);
    CHECK(choices_imported(other) && !has(other, "forward one", &narrow), "another GPU's");
    choices_destroy(other);
    check_case("rank 0's choices reach another rank");

    CHECK(import(text, "NVIDIA H200", 91800, &other, &error) == LS_FAILED &&
              strstr(error.text, "91900") && strstr(error.text, "91800"),
          "%s", error.text);
    choices_destroy(other);
    text[strlen(text) - 3] ^= 1;
    CHECK(import(text, "NVIDIA H200", 91900, &other, &error) == LS_FAILED, "damaged in transit");
    choices_destroy(other);
    CHECK(import("", "NVIDIA H200", 91900, &other, &error) == LS_FAILED, "nothing came");
    choices_destroy(other);
    choices_destroy(root);
    free(text);
    check_case("what does not fit is refused");
}

int main(void) {
    if (!mkdtemp(folder))
        return 1;
    snprintf(path, sizeof path, "%s/choices", folder);
    keys();
    kept();
    of_older_programs();
    shipped();
    passing();
    two_runs();
    damaged();
    unreadable();
    sent();
    char command[160];
    snprintf(command, sizeof command, "rm -rf %s", folder);
    return system(command) != 0 || check_done();
}
