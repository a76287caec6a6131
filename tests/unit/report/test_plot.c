/* Pictures, piece by piece: the program that draws them and how it can fail, what is made of its
 * SVG, and text from files on its way into a script and a page. Whole pictures of runs:
 * tests/report/pictures.py. */
#include "../check.h"
#include "base/clock.h"
#include "report/picture/plot_gnuplot.h"
#include "report/picture/plot_palette.h"
#include "report/picture/plot_pictures.h"
#include "report/picture/plot_svg.h"
#include "report_fixture.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *path_before;

/* A program named gnuplot that does `script`, alone on the PATH but for the shell's own. */
static void use_stand_in(const char *script) {
    char path[4096], folder[3072];
    if (!getcwd(folder, sizeof folder))
        return;
    mkdir("bin", 0777);
    FILE *file = fopen("bin/gnuplot", "we");
    fprintf(file, "#!/bin/sh\n%s\n", script);
    fclose(file);
    chmod("bin/gnuplot", 0755);
    snprintf(path, sizeof path, "%s/bin:%s", folder, path_before);
    setenv("PATH", path, 1);
}

static void expect_failure(const char *what, const char *expected, double deadline_seconds) {
    text_buffer script = {0}, out = {0};
    ls_error error = {0};
    text_add(&script, "plot x\n");
    CHECK(gnuplot_run(&script, deadline_seconds, &out, &error) == LS_FAILED, "%s: it ran", what);
    CHECK(strstr(error.text, expected), "%s: expected '%s', found '%s'", what, expected,
          error.text);
    CHECK(out.length == 0, "%s: %zu bytes came", what, out.length);
    text_free(&script);
    text_free(&out);
}

static void failing_programs(void) {
    setenv("PATH", "/nowhere", 1);
    expect_failure("no program", "gnuplot is not on the PATH: install it", 20);
    use_stand_in("echo 'line 3: undefined variable: x' >&2; echo >&2; exit 1");
    expect_failure("a failure", "gnuplot failed: line 3: undefined variable: x", 20);
    use_stand_in("exit 5");
    expect_failure("a silent failure", "gnuplot failed: it says nothing", 20);
    use_stand_in("exit 0");
    expect_failure("no output", "gnuplot failed: it says nothing", 20);
    use_stand_in("kill -SEGV $$");
    expect_failure("a crash", "gnuplot was ended by signal 11", 20);
    use_stand_in("exec sleep 60");
    double start = clock_seconds();
    expect_failure("a hanging program", "gnuplot did not end within 0.2 s", 0.2);
    CHECK(clock_seconds() - start < 30, "it was waited for");
    setenv("PATH", path_before, 1);
    check_case("a program that is missing, fails, crashes, hangs or says nothing: one line");
}

static void larger_than_a_pipe(void) {
    text_buffer script = {0}, out = {0};
    ls_error error = {0};
    use_stand_in("cat; cat /dev/zero | head -c 300000 | tr '\\0' e >&2");
    for (int line = 0; line < 50000; line++)
        text_add(&script, "# %d\n", line);
    CHECK(gnuplot_run(&script, 20, &out, &error) == LS_OK, "%s", error.text);
    CHECK(out.length == script.length && memcmp(out.bytes, script.bytes, out.length) == 0,
          "%zu bytes of %zu", out.length, script.length);
    setenv("PATH", path_before, 1);
    text_free(&script);
    text_free(&out);
    check_case("scripts, pictures and messages that no pipe holds");
}

static void expect_escaped(const char *text, const char *expected) {
    text_buffer out = {0};
    plot_escape(&out, text);
    CHECK(out.bytes ? strcmp(out.bytes, expected) == 0 : !*expected, "'%s' is '%s'", text,
          out.bytes ? out.bytes : "");
    text_free(&out);
}

static void escaping(void) {
    expect_escaped("", "");
    expect_escaped("<script>a && b</script>", "&lt;script&gt;a &amp;&amp; b&lt;/script&gt;");
    expect_escaped("\"'", "&quot;&#39;");
    expect_escaped("a\tb\x1b[31m\x7f", "a?b?[31m?");
    expect_escaped("Zürich €", "Zürich €");
    expect_escaped("\xff\xc3(\xe2\x82", "?"
                                        "?(?"
                                        "?");        /* no UTF-8 */
    expect_escaped("\xc0\xbc\xed\xa0\x80", "?????"); /* an overlong '<', half a pair */
    check_case("text for XML and HTML");
}

static void expect_quoted(const char *text, size_t longest, const char *expected) {
    text_buffer out = {0};
    script_quote(&out, text, longest);
    CHECK(strcmp(out.bytes, expected) == 0, "'%s' is %s", text, out.bytes);
    text_free(&out);
}

static void quoting(void) {
    expect_quoted("it's", 10, "'it''s'");
    expect_quoted("`date`\\n\n", 20, "'`date`\\n?'");
    expect_quoted("abcdefghij", 10, "'abcdefghij'");
    expect_quoted("abcdefghijk", 10, "'abcdefg...'");
    expect_quoted("ääääää", 5, "'ää...'");
    expect_quoted("\xc3", 5, "'\xc3'"); /* a character that ends early does not read on */
    check_case("text for a script");
}

static void finishing(void) {
    static const char drawn[] =
        "<?xml version=\"1.0\"?>\n<svg viewBox=\"0 0 1 1\">\n<title>Gnuplot</title>\n"
        "<g id='a' stroke='rgb(  0, 114, 178)' color=\"#FFFFFF\"><use xlink:href='#a'/>"
        "<text fill=\"rgb(31,35,40)\">rgb(1,2,3) id='x' #FFFFFF</text></g></svg>\n";
    text_buffer svg = {0}, out = {0};
    ls_error error = {0}, broken = {0};
    text_add(&svg, "%s", drawn);
    CHECK(plot_svg_finish(&out, &svg, "me", "a < b", &error) == LS_OK, "%s", error.text);
    static const char *const expected[] = {
        "<svg role=\"img\" viewBox=\"0 0 1 1\">\n<title>a &lt; b</title>\n<style>",
        "@media (prefers-color-scheme: dark) {", "[stroke=\"#0072b2\"] { stroke: #4ea3e0 }",
        ("<g id='me-a' stroke='#0072b2' color=\"#ffffff\"><use xlink:href='#me-a'/>"
         "<text fill=\"#1f2328\">rgb(1,2,3) id='x' #FFFFFF</text></g></svg>\n")};
    for (size_t index = 0; index < sizeof expected / sizeof expected[0]; index++)
        CHECK(strstr(out.bytes, expected[index]), "no %s in %s", expected[index], out.bytes);
    svg.bytes[svg.length - 8] = '\0';
    CHECK(plot_svg_finish(&out, &svg, "me", "t", &broken) == LS_FAILED &&
              strstr(broken.text, "no whole SVG for the picture 'me'"),
          "%s", broken.text);
    text_free(&svg);
    text_free(&out);
    check_case("an SVG: its colours follow the scheme, its names and title are its own");
}

/* Of WCAG 2.2's definitions: relative luminance, contrast ratio. */
static double luminance(const char *colour) {
    unsigned parts[3];
    double linear[3];
    sscanf(colour, "#%2x%2x%2x", &parts[0], &parts[1], &parts[2]);
    for (int index = 0; index < 3; index++) {
        double value = parts[index] / 255.0;
        linear[index] = value <= 0.04045 ? value / 12.92 : pow((value + 0.055) / 1.055, 2.4);
    }
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
}

static double contrast(const char *colour, const char *background) {
    double a = luminance(colour) + 0.05, b = luminance(background) + 0.05;
    return a > b ? a / b : b / a;
}

static void colours(void) {
    const plot_tone *ground = &plot_palette[PLOT_BACKGROUND];
    for (int colour = PLOT_INK; colour < PLOT_COLOURS; colour++) {
        const plot_tone *tone = &plot_palette[colour];
        double least = colour == PLOT_INK ? 7 : colour == PLOT_FAINT ? 4.2 : 2.2;
        for (int other = 0; other < colour; other++)
            CHECK(strcmp(tone->light, plot_palette[other].light) != 0, "%s is %s", tone->name,
                  plot_palette[other].name);
        if (colour == PLOT_GRID)
            continue;
        CHECK(contrast(tone->light, ground->light) > least &&
                  contrast(tone->dark, ground->dark) > least,
              "%s: %g, dark %g", tone->name, contrast(tone->light, ground->light),
              contrast(tone->dark, ground->dark));
    }
    check_case("colours differ, and from the background in light and in dark");
}

static void steps(void) {
    CHECK(script_step(10, 10) == 1 && script_step(11, 10) == 2 && script_step(0.7, 7) == 0.1,
          "%g, %g, %g", script_step(10, 10), script_step(11, 10), script_step(0.7, 7));
    CHECK(script_step(34, 7) == 5 && script_step(1e6, 3) == 5e5, "%g, %g", script_step(34, 7),
          script_step(1e6, 3));
    check_case("steps of an axis");
}

/* Nothing that a picture is given makes gnuplot do anything but draw it. */
static void hostile_names(void) {
    static const char name[] = "`touch made` $(touch made) ' . system('touch made') . ' \" @x {/*9 "
                               "}<b>&\\";
    text_buffer script = {0}, svg = {0}, out = {0};
    ls_error error = {0};
    const plot_part part = {.name = name};
    plot_bar bar = {.name = name, .total = 2, .parts = (const double[]){1}, .limit = 1.5};
    plot_bars bars = {.title = name,
                      .subtitle = name,
                      .across = "s",
                      .unit = "s",
                      .limit = name,
                      .parts = &part,
                      .part_count = 1,
                      .bars = &bar,
                      .count = 1};
    plot_bars_script(&script, PLOT_SVG, &bars);
    int status = gnuplot_run(&script, 20, &svg, &error);
    if (status == LS_FAILED && strstr(error.text, "not on the PATH")) {
        printf("# no gnuplot here\n");
    } else {
        CHECK(status == LS_OK && plot_svg_finish(&out, &svg, "x", name, &error) == LS_OK, "%s",
              error.text);
        CHECK(out.bytes && strstr(out.bytes, "system('touch made')"), "it does not show the name");
        CHECK(out.bytes && !strstr(out.bytes, "<b>"), "a tag came through");
        CHECK(access("made", F_OK) != 0, "a name was run");
    }
    text_free(&script);
    text_free(&svg);
    text_free(&out);
    check_case("names that would be commands are drawn");
}

int main(void) {
    path_before = strdup(getenv("PATH") ? getenv("PATH") : "/usr/bin:/bin");
    fixture_enter_folder();
    failing_programs();
    larger_than_a_pipe();
    escaping();
    quoting();
    finishing();
    colours();
    steps();
    hostile_names();
    fixture_leave_folder();
    free((char *)(uintptr_t)path_before);
    return check_done();
}
