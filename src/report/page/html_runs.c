#include "report/page/html_parts.h"

#include "report/picture/plot_svg.h"
#include "report/text/duration.h"

static const char *text_of(const finished_run *run, const char *column) {
    return finished_run_text(run, column);
}

static void add_facts_of(text_buffer *out, const finished_run *run) {
    const csv_table *summary = &run->summary;
    text_add(out, "<details><summary>");
    plot_escape(out, run->folder);
    text_add(out, ": started ");
    plot_escape(out, text_of(run, "started"));
    text_add(out, ", trained in %s</summary>\n",
             duration(finished_run_number(run, "training_seconds")).text);
    html_open_scroll(out, run->folder);
    text_add(out, "<table class=\"facts\"><tbody>\n");
    for (size_t column = 0; column < summary->columns; column++) {
        const char *value = summary->cells[summary->columns + column];
        if (!value[0])
            continue;
        text_add(out, "<tr><th scope=\"row\">");
        plot_escape(out, summary->cells[column]);
        text_add(out, "</th><td>");
        plot_escape(out, value);
        text_add(out, "</td></tr>\n");
    }
    text_add(out, "</tbody></table></div></details>\n");
}

void html_run_facts(text_buffer *out, const configuration *self) {
    text_add(out, "<h3>");
    plot_escape(out, self->name);
    text_add(out, ", global batch ");
    plot_escape(out, configuration_text(self, "global_batch"));
    text_add(out, "</h3>\n");
    for (size_t run = 0; run < self->count; run++)
        add_facts_of(out, self->runs[run]);
}
