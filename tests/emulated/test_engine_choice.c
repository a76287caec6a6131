/* How the engines of convolutions are chosen, kept in a file and sent to other ranks, on the
 * emulated cuDNN, which offers engines that a careless choice stumbles over (cudnn_engines.c). */
#include "convolution_fixture.h"
#include "cuda/choices/choices_file.h"

#include "../unit/check.h"
#include "base/clock.h"
#include "cuda/device/cuda_device.h"
#include "cuda/dnn/dnn_choice.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64] = "/tmp/lockstep-convolution-XXXXXX";
static char cache[128];

static bool described(plan *plan, const char *source) {
    const char *text = plan_describe(plan);
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
    CHECK(described(plan, source), "%s: expected \"%s\"", what, source);
    plan_release(plan);
    gpu->is->close(gpu);
}

/* The engines of the stand-in that a program may take: cudnn_engines.c. */
static void check_engines(const char *text, precision wanted) {
    choice_line line;
    dnn_choice choice;
    for (const char *at = strchr(text, '\n') + 1; *at; at = strchr(at, '\n') + 1) {
        bool read =
            choice_line_read(at, strcspn(at, "\n"), &line) && dnn_choice_read(line.text, &choice);
        int64_t engine = choice.engine.index;
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
        CHECK(described(plan, "(best of "), "not timed");
        MUST(gpu->is->choices_export(gpu, &text, &error));
        check_engines(text, (precision)wanted);
        free(text);
        plan_release(plan);
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
    CHECK(!described(plan, "(best of 1)"), "a compilation took the time of all others");
    CHECK(described(plan, "(best of "), "not timed");
    plan_release(plan);
    gpu->is->close(gpu);
    check_case("engines that cuDNN compiles for long leave time for the others");
}

/* Every choice in the file becomes this one, with a checksum that holds. */
static void overwrite_choices(const dnn_choice *choice) {
    static char text[16384];
    char out[16384] = CHOICES_FIRST_LINE "\n";
    FILE *file = fopen(cache, "r");
    text[file ? fread(text, 1, sizeof text - 1, file) : 0] = '\0';
    fclose(file);
    for (const char *at = strchr(text, '\n') + 1; *at; at = strchr(at, '\n') + 1) {
        choice_line line;
        CHECK(choice_line_read(at, strcspn(at, "\n"), &line), "%s", at);
        dnn_choice_write(choice, line.text);
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
    static const dnn_choice garbage[] = {
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
    CHECK(described(same, "(rank 0's)"), "not rank 0's");
    MUST(other->is->choices_export(other, &again, &error));
    CHECK(strcmp(text, again) == 0, "another choice was made");
    free(again);
    shape.n = 1; /* a ragged batch, which rank 0 does not have */
    plan *ragged = fixture_plan(other, &shape);
    CHECK(described(ragged, "(first offer)"), "not the first offer");
    MUST(other->is->choices_export(other, &again, &error));
    CHECK(strcmp(text, again) == 0, "a choice of its own is in the table");
    free(again);
    check_case("another rank takes rank 0's choices and times nothing");

    choice_line line;
    const char *at = strchr(text, '\n') + 1;
    char bad[CHOICE_LINE_BYTES + 64] = CHOICES_FIRST_LINE "\n";
    CHECK(choice_line_read(at, strcspn(at, "\n"), &line), "%s", at);
    strcpy(line.text, "bf16 9");
    choice_line_write(&line, bad + strlen(bad));
    MUST(other->is->choices_import(other, bad, &error));
    shape.n = 2;
    plan *instead = fixture_plan(other, &shape);
    CHECK(described(instead, "forward 2.") && described(instead, "(first offer)"),
          "not the first offer");
    CHECK(other->fallbacks.count == 1 &&
              strstr(other->fallbacks.lines[0], "forward n2 h7 w8 c3 k6 r3 s1 p1 bf16 relu: rank "
                                                "0's engine 9: ") &&
              strstr(other->fallbacks.lines[0], "; taken: engine 2"),
          "%d: %s", other->fallbacks.count, other->fallbacks.lines[0]);
    plan_release(instead);
    plan_release(first);
    plan_release(same);
    plan_release(ragged);
    free(text);
    root->is->close(root);
    other->is->close(other);
    check_case(
        "an imported choice that does not build: the first offer, said with the shape's name");
}

static void prepare_three(device *gpu, plan *plans[3]) {
    for (int index = 0; index < 3; index++) {
        conv2d_shape shape = fixture_shape(1 + index, 7, 3, 6, 3, 1, 1, PRECISION_BF16);
        plans[index] = fixture_plan(gpu, &shape);
    }
}

static void release_three(plan *plans[3]) {
    for (int index = 0; index < 3; index++)
        plan_release(plans[index]);
}

/* Plans that stand for others: all that waits is chosen at once, and what is prepared then finds
 * it. */
static void test_settle(void) {
    device *gpu = fixture_gpu("");
    plan *plans[3];
    char *text = NULL;
    gpu->is->choices_collect(gpu);
    prepare_three(gpu, plans);
    for (int index = 0; index < 3; index++)
        CHECK(described(plans[index], "(first offer)"), "it is chosen before it is asked for");
    MUST(gpu->is->choices_export(gpu, &text, &error));
    CHECK(!strstr(text, "forward"), "%s", text);
    free(text);
    plan_release(plans[2]); /* nobody waits for it any more */
    plans[2] = NULL;
    MUST(gpu->is->choices_settle(gpu, &error));
    MUST(gpu->is->choices_export(gpu, &text, &error));
    check_engines(text, PRECISION_BF16);
    CHECK(strstr(text, "forward n1 ") && strstr(text, "wgrad n2 ") && !strstr(text, " n3 "), "%s",
          text);
    free(text);
    plan_release(plans[0]), plan_release(plans[1]);
    prepare_three(gpu, plans);
    for (int index = 0; index < 3; index++)
        CHECK(described(plans[index], "(best of ") && !described(plans[index], "quickly"), "%d",
              index);
    release_three(plans);
    gpu->is->close(gpu);
    check_case("what waits is chosen at once, and found by the plans that come");
}

/* Where the seconds for the whole model are spent: the first offer, and at once. A quick look is
 * taken by the plans of this run, and not kept for the next. */
static void test_bound(void) {
    unlink(cache);
    device *gpu = fixture_gpu(cache);
    cuda_device *cuda = (cuda_device *)gpu;
    plan *plans[3];
    gpu->is->choices_collect(gpu);
    prepare_three(gpu, plans);
    cuda->choosing.seconds_left = 0;
    MUST(gpu->is->choices_settle(gpu, &error));
    release_three(plans);
    prepare_three(gpu, plans);
    for (int index = 0; index < 3; index++)
        CHECK(described(plans[index], "(first offer)"), "timed without time");
    release_three(plans);
    gpu->is->close(gpu);
    check_source("(best of ", "what was not timed was kept");
    unlink(cache);

    check_case("without time for the model: first offers, which are not kept");

    /* Eight directions, each of which would compile for 0.6 s and more: only sm_90 has the engine.
     */
    gpu = fixture_gpu("");
    cuda = (cuda_device *)gpu;
    if (cuda->capability < 90) {
        gpu->is->close(gpu);
        return;
    }
    setenv("LOCKSTEP_EMULATED_COMPILE_SECONDS", "0.6", 1);
    gpu->is->choices_collect(gpu);
    prepare_three(gpu, plans);
    cuda->choosing.seconds_left = 1;
    double began = clock_seconds();
    MUST(gpu->is->choices_settle(gpu, &error));
    double took = clock_seconds() - began;
    unsetenv("LOCKSTEP_EMULATED_COMPILE_SECONDS");
    CHECK(took < 4 && cuda->choosing.seconds_left <= 0, "%g s of 1 s, %g s left", took,
          cuda->choosing.seconds_left);
    release_three(plans);
    prepare_three(gpu, plans);
    int quick = 0;
    for (int index = 0; index < 3; index++)
        quick += strstr(plan_describe(plans[index]), "quickly") != NULL;
    CHECK(quick > 0, "no direction was left with a quick look");
    release_three(plans);
    gpu->is->close(gpu);
    check_case("choosing ends when its time is over, and what is left has had a quick look");
}

int main(void) {
    if (!mkdtemp(folder))
        return 1;
    snprintf(cache, sizeof cache, "%s/choices", folder);
    test_choice();
    test_slow_compilation();
    test_cache();
    test_import();
    test_settle();
    test_bound();
    unlink(cache);
    rmdir(folder);
    return check_done();
}
