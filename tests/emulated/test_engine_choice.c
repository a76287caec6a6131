/* How the engines of convolutions are chosen, kept in a file and sent to other ranks, on the
 * emulated cuDNN, which offers engines that a careless choice stumbles over (cudnn_engines.c). */
#include "choices_text.h"
#include "convolution_fixture.h"

#include "../unit/check.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/lockstep-convolution-XXXXXX";
static char cache[128];

static bool described(device *gpu, plan *plan, const char *source) {
    const char *text = gpu->is->ops->plan_describe(plan);
    bool found = strstr(text, source) != NULL;
    if (!found)
        printf("# described as: %s\n", text);
    return found;
}

/* Prepares one convolution on a device with this cache file and closes it again. */
static void check_source(const char *source, const char *what) {
    conv2d_shape shape = fixture_shape(2, 7, 3, 6, 3, 1, 1, PRECISION_BF16);
    device *gpu = fixture_gpu(cache);
    plan *plan = fixture_plan(gpu, &shape);
    CHECK(described(gpu, plan, source), "%s: expected \"%s\"", what, source);
    gpu->is->ops->plan_release(gpu, plan);
    gpu->is->close(gpu);
}

/* The engines of the stand-in that a program may take: cudnn_engines.c. */
static void check_engines(const char *text, precision wanted) {
    choice_line line;
    for (const char *at = strchr(text, '\n') + 1; *at; at = strchr(at, '\n') + 1) {
        bool read = choice_line_read(at, strcspn(at, "\n"), &line);
        int64_t engine = line.choice.engine.index;
        CHECK(read && (engine == 0 || (engine == 2 && wanted != PRECISION_FP32) || engine == 60),
              "%.*s", (int)strcspn(at, "\n"), at);
    }
}

static void test_choice(void) {
    for (int wanted = 0; wanted < PRECISION_COUNT; wanted++) {
        device *gpu = fixture_gpu("");
        conv2d_shape shape = fixture_shape(2, 7, 3, 6, 3, 1, 1, (precision)wanted);
        char *text = NULL;
        plan *plan = fixture_plan(gpu, &shape);
        CHECK(described(gpu, plan, "(best of "), "not timed");
        MUST(gpu->is->choices_export(gpu, &text, &error));
        check_engines(text, (precision)wanted);
        free(text);
        gpu->is->ops->plan_release(gpu, plan);
        gpu->is->close(gpu);
    }
    check_case("no engine is chosen that adds in any order, in less than fp32, or is not captured");
}

/* Where cuDNN prefers an engine that it compiles for longer than all building may take, the others
 * are timed all the same. */
static void test_slow_compilation(void) {
    device *gpu = fixture_gpu("");
    conv2d_shape shape = fixture_shape(2, 7, 3, 6, 3, 1, 1, PRECISION_BF16);
    setenv("LOCKSTEP_EMULATED_COMPILE_SECONDS", "1.1", 1);
    plan *plan = fixture_plan(gpu, &shape);
    unsetenv("LOCKSTEP_EMULATED_COMPILE_SECONDS");
    CHECK(!described(gpu, plan, "(best of 1)"), "a compilation took the time of all others");
    CHECK(described(gpu, plan, "(best of "), "not timed");
    gpu->is->ops->plan_release(gpu, plan);
    gpu->is->close(gpu);
    check_case("engines that cuDNN compiles for long leave time for the others");
}

/* Every choice in the file becomes this one, with a checksum that holds. */
static void overwrite_choices(const conv_choice *choice) {
    static char text[16384];
    char out[16384] = CHOICES_FIRST_LINE "\n";
    FILE *file = fopen(cache, "r");
    text[file ? fread(text, 1, sizeof text - 1, file) : 0] = '\0';
    fclose(file);
    for (const char *at = strchr(text, '\n') + 1; *at; at = strchr(at, '\n') + 1) {
        choice_line line;
        CHECK(choice_line_read(at, strcspn(at, "\n"), &line), "%s", at);
        line.choice = *choice;
        choice_line_write(&line, out + strlen(out));
    }
    file = fopen(cache, "w");
    fputs(out, file);
    fclose(file);
}

static void test_cache(void) {
    unlink(cache);
    check_source("(best of ", "no file");
    check_source("(known)", "a file");
    check_case("choices are kept in the cache file");

    /* bf16's engine 1 is not deterministic, 3 does not build, 9 does not exist; 2 has no tile 99,
     * 0 no knobs, and neither takes an fp16 bias beside bf16 tensors. */
    static const conv_choice garbage[] = {
        {DTYPE_BF16, {.index = 1}},
        {DTYPE_BF16, {.index = 3}},
        {DTYPE_BF16, {.index = 9}},
        {DTYPE_BF16, {.index = 2, .knob_count = 1, .knobs = {{2, 99}}}},
        {DTYPE_BF16, {.index = 0, .knob_count = 1, .knobs = {{2, 0}}}},
        {DTYPE_F16, {.index = 0}},
        {DTYPE_F32, {.index = 0}}};
    for (size_t index = 0; index < sizeof garbage / sizeof garbage[0]; index++) {
        overwrite_choices(&garbage[index]);
        check_source("(best of ", "garbage");
        check_source("(known)", "what replaced it");
    }
    check_case("a choice that does not build is chosen again");

    FILE *file = fopen(cache, "w");
    fputs("what is this\n", file);
    fclose(file);
    check_source("it does not begin with", "noise");
    check_source("(known)", "what replaced it");
    unlink(cache);
    mkdir(cache, 0700);
    check_source("(best of ", "a folder");
    rmdir(cache);
    check_case("a damaged file is rebuilt, a folder in its place does no harm");
}

static void test_import(void) {
    device *root = fixture_gpu(""), *other = fixture_gpu("");
    conv2d_shape shape = fixture_shape(2, 7, 3, 6, 3, 1, 1, PRECISION_BF16);
    char *text = NULL, *again = NULL;
    plan *first = fixture_plan(root, &shape);
    MUST(root->is->choices_export(root, &text, &error));
    MUST(other->is->choices_import(other, text, &error));
    plan *same = fixture_plan(other, &shape);
    CHECK(described(other, same, "(rank 0's)"), "not rank 0's");
    MUST(other->is->choices_export(other, &again, &error));
    CHECK(strcmp(text, again) == 0, "another choice was made");
    free(again);
    shape.n = 1; /* a ragged batch, which rank 0 does not have */
    plan *ragged = fixture_plan(other, &shape);
    CHECK(described(other, ragged, "(first offer)"), "not the first offer");
    MUST(other->is->choices_export(other, &again, &error));
    CHECK(strcmp(text, again) == 0, "a choice of its own is in the table");
    free(again);
    check_case("another rank takes rank 0's choices and times nothing");

    choice_line line;
    const char *at = strchr(text, '\n') + 1;
    char bad[CHOICE_LINE_BYTES + 64] = CHOICES_FIRST_LINE "\n";
    CHECK(choice_line_read(at, strcspn(at, "\n"), &line), "%s", at);
    line.choice.engine = (conv_engine){.index = 9};
    choice_line_write(&line, bad + strlen(bad));
    MUST(other->is->choices_import(other, bad, &error));
    shape.n = 2;
    plan *instead = fixture_plan(other, &shape);
    CHECK(described(other, instead, "forward 2.") && described(other, instead, "(first offer)"),
          "not the first offer");
    CHECK(other->fallbacks.count == 1 &&
              strstr(other->fallbacks.lines[0], "forward n2 h7 w8 c3 k6 r3 s1 p1 bf16 relu: rank "
                                                "0's engine 9: ") &&
              strstr(other->fallbacks.lines[0], "; taken: engine 2"),
          "%d: %s", other->fallbacks.count, other->fallbacks.lines[0]);
    other->is->ops->plan_release(other, instead);
    root->is->ops->plan_release(root, first);
    other->is->ops->plan_release(other, same);
    other->is->ops->plan_release(other, ragged);
    free(text);
    root->is->close(root);
    other->is->close(other);
    check_case(
        "an imported choice that does not build: the first offer, said with the shape's name");
}

int main(void) {
    if (!mkdtemp(folder))
        return 1;
    snprintf(cache, sizeof cache, "%s/choices", folder);
    test_choice();
    test_slow_compilation();
    test_cache();
    test_import();
    unlink(cache);
    rmdir(folder);
    return check_done();
}
