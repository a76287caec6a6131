#include "report/page/html.h"

#include "report/page/html_parts.h"
#include "report/picture/plot_palette.h"
#include "report/picture/plot_svg.h"

#include <string.h>

/* The palette's colours, so that a picture's background is the page's. */
static void add_style(text_buffer *out) {
    text_add(out, "<style>\n:root { color-scheme: light dark;");
    for (int colour = 0; colour < PLOT_SERIES; colour++)
        text_add(out, " --%s: %s;", plot_palette[colour].name, plot_palette[colour].light);
    text_add(out, " }\n@media (prefers-color-scheme: dark) { :root {");
    for (int colour = 0; colour < PLOT_SERIES; colour++)
        text_add(out, " --%s: %s;", plot_palette[colour].name, plot_palette[colour].dark);
    text_add(
        out,
        " } }\n"
        "body { background: var(--background); color: var(--ink); margin: 2rem auto; "
        "max-width: 78rem; padding: 0 1rem;\n"
        "  font: 15px/1.5 system-ui, 'Segoe UI', Roboto, Helvetica, Arial, sans-serif }\n"
        "h1 { font-size: 1.6rem; margin-bottom: 0 }\nh2 { font-size: 1.2rem; margin-top: 2.5rem }\n"
        "h3 { font-size: 1rem; margin-bottom: 0.3rem }\np, li { max-width: 56rem }\n"
        ".note, .under { color: var(--faint); font-size: 0.9rem }\n"
        ".wide { overflow-x: auto }\n"
        "table { border-collapse: collapse; font-size: 0.85rem; "
        "font-variant-numeric: tabular-nums }\n"
        "th, td { border-bottom: 1px solid var(--grid); padding: 0.3rem 0.6rem; text-align: left; "
        "vertical-align: top }\n"
        "thead th { border-bottom-color: var(--faint); vertical-align: bottom }\n"
        "td { white-space: nowrap }\n"
        "th.number, td.number { text-align: right }\n"
        ".facts th { font-weight: normal; color: var(--faint) }\n"
        ".facts td { overflow-wrap: anywhere; white-space: normal }\n"
        "figure { margin: 1.5rem 0 }\nfigure svg { display: block; width: 100%%; "
        "max-width: 800px; height: auto }\n"
        ".warnings { border-left: 4px solid #d55e00; padding: 0.2rem 1rem }\n"
        "summary { cursor: pointer }\n"
        "thead th, tbody th { font-weight: 600 }\ntbody th { white-space: nowrap }\n"
        ":focus-visible { outline: 3px solid var(--series1); outline-offset: 2px }\n"
        "@media print {\n"
        "body { background: none; font-size: 10pt; margin: 0; max-width: none; padding: 0 }\n"
        ".wide { overflow: visible }\ntable { font-size: 6.5pt }\n"
        "th, td { padding: 0.15rem 0.25rem; white-space: normal !important }\n"
        "figure, tr { break-inside: avoid }\nh2, h3 { break-after: avoid }\n"
        "thead { display: table-header-group }\n}\n</style>\n");
}

static size_t count_runs(const configuration_list *configurations) {
    size_t runs = 0;
    for (size_t index = 0; index < configurations->count; index++)
        runs += configurations->items[index].count;
    return runs;
}

static void add_head(text_buffer *out, const html_report *report) {
    size_t runs = count_runs(report->configurations), kinds = report->configurations->count;
    text_add(out,
             "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
             "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
             "<title>lockstep report: %zu run%s</title>\n",
             runs, runs == 1 ? "" : "s");
    add_style(out);
    text_add(
        out,
        "</head>\n<body>\n<main>\n<h1>lockstep report</h1>\n<p class=\"under\">%zu run%s of %zu "
        "configuration%s, reported by lockstep %s</p>\n",
        runs, runs == 1 ? "" : "s", kinds, kinds == 1 ? "" : "s", LOCKSTEP_VERSION);
}

static void add_warnings(text_buffer *out, const html_report *report) {
    text_buffer items = {0};
    for (size_t index = 0; index < report->complaints->count; index++) {
        text_add(&items, "<li>");
        plot_escape(&items, report->complaints->list[index].text);
        text_add(&items, "</li>\n");
    }
    html_run_warnings(&items, report->configurations);
    out->failed |= items.failed;
    if (items.length > 0)
        text_add(out,
                 "<section class=\"warnings\" aria-labelledby=\"warnings\">\n<h2 "
                 "id=\"warnings\">Warnings</h2>\n<ul>\n%s</ul>\n</section>\n",
                 items.bytes);
    text_free(&items);
}

static void add_unmeasured(text_buffer *out, const html_report *report) {
    text_buffer items = {0};
    html_unmeasured(&items, report->configurations);
    if (items.length > 0)
        text_add(out, "<h2>What was not measured</h2>\n<ul>\n%s</ul>\n", items.bytes);
    out->failed |= items.failed;
    text_free(&items);
}

/* After a failure no other is tried: what hangs would hang for each. */
static int add_picture(text_buffer *out, const picture *self, ls_error *drawing, ls_error *error) {
    text_buffer svg = {0};
    if (drawing->code != LS_OK)
        return LS_OK;
    if (picture_svg(&svg, self, drawing) == LS_OK) {
        text_add(out, "<figure>\n");
        text_add_bytes(out, svg.bytes, svg.length);
        text_add(out, "</figure>\n");
    } else {
        text_add(out, "<p class=\"note\">There are no pictures: ");
        plot_escape(out, drawing->text);
        text_add(out, "</p>\n");
    }
    text_free(&svg);
    return text_buffer_check(out, error);
}

static bool is_of_a_table(const picture *self) {
    return strncmp(self->name, "speedup", 7) == 0;
}

/* Tables that compare something have a picture each, in the same order. */
static int add_tables(text_buffer *out, const html_report *report, ls_error *drawing,
                      ls_error *error) {
    const picture_list *pictures = report->pictures;
    size_t next = 0;
    for (size_t index = 0; index < report->tables->count; index++) {
        LS_TRY(text_buffer_check(&report->texts[index], error));
        if (report->texts[index].bytes)
            html_tables(out, report->texts[index].bytes);
        while (next < pictures->count && !is_of_a_table(&pictures->items[next]))
            next++;
        if (report->tables->items[index].count > 0 && next < pictures->count)
            LS_TRY(add_picture(out, &pictures->items[next++], drawing, error));
    }
    LS_TRY(text_buffer_check(report->more, error));
    if (report->more->bytes)
        html_tables(out, report->more->bytes);
    return LS_OK;
}

static int add_other_pictures(text_buffer *out, const html_report *report, ls_error *drawing,
                              ls_error *error) {
    text_add(out, "<h2>Times, memory and curves</h2>\n");
    for (size_t index = 0; index < report->pictures->count; index++)
        if (!is_of_a_table(&report->pictures->items[index]))
            LS_TRY(add_picture(out, &report->pictures->items[index], drawing, error));
    return LS_OK;
}

static void add_method(text_buffer *out) {
    text_add(out,
             "<h2>How this was measured</h2>\n<ul>\n"
             "<li>Training time runs from the first real step to the last on the slowest rank, the "
             "loader and every image of every epoch inside it; set-up, warm-up and evaluation have "
             "times of their own and are outside.</li>\n"
             "<li>A speedup is the baseline's training time over the configuration's: the "
             "geometric mean over pairs of runs, the i-th of one with the i-th of the other, with "
             "the 95%% interval of Student's t on their log ratios. The baseline is mode single, "
             "which communicates nothing.</li>\n"
             "<li>Strong scaling keeps the global batch, and so the work; weak scaling keeps the "
             "batch per rank, so more ranks take fewer steps. They are never in one table.</li>\n"
             "<li>Runs that differ in what they computed are not compared, unless a footnote says "
             "so.</li>\n</ul>\n"
             "<p>results/METHOD.md in lockstep's sources says how each column is computed.</p>\n");
}

int html_page(text_buffer *out, const html_report *report, ls_error *drawing, ls_error *error) {
    *drawing = (ls_error){0};
    add_head(out, report);
    add_warnings(out, report);
    LS_TRY(add_tables(out, report, drawing, error));
    LS_TRY(add_other_pictures(out, report, drawing, error));
    LS_TRY(text_buffer_check(report->proofs, error));
    if (report->proofs->bytes)
        html_tables(out, report->proofs->bytes);
    add_unmeasured(out, report);
    add_method(out);
    text_add(out, "<h2>The runs</h2>\n");
    for (size_t index = 0; index < report->configurations->count; index++)
        html_run_facts(out, &report->configurations->items[index]);
    text_add(out, "</main>\n</body>\n</html>\n");
    return text_buffer_check(out, error);
}
