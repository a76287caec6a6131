#include "report/html_parts.h"

#include "report/duration.h"
#include "report/plot_svg.h"

#include <string.h>

static const char *text_of(const finished_run *run, const char *column) {
    return finished_run_text(run, column);
}

static void add_warning(text_buffer *out, const finished_run *run, const char *what,
                        const char *more) {
    text_add(out, "<li>");
    plot_escape(out, run->folder);
    text_add(out, ": %s", what);
    plot_escape(out, more);
    text_add(out, "</li>\n");
}

static void add_warnings_of(text_buffer *out, const finished_run *run) {
    const char *held_back = text_of(run, "gpu_clocks_held_back_by");
    if (finished_run_number(run, "oversubscribed") > 0)
        add_warning(out, run, "ranks shared cores: its times are no measure of scaling", "");
    if (held_back[0] && strcmp(held_back, "none") != 0)
        add_warning(out, run, "GPU clocks were held back while it trained: ", held_back);
    if (finished_run_number(run, "skipped_updates") > 0)
        add_warning(out, run, "updates were skipped, as gradients overflowed: ",
                    text_of(run, "skipped_updates"));
    if (strncmp(text_of(run, "graph"), "no", 2) == 0)
        add_warning(out, run, "its steps were not replayed as a graph: ", text_of(run, "graph"));
    if (finished_run_number(run, "profile_steps") > 0)
        add_warning(out, run,
                    "steps of it were profiled, which takes time: ", text_of(run, "profile_steps"));
}

void html_run_warnings(text_buffer *out, const configuration *self) {
    for (size_t run = 0; run < self->count; run++)
        add_warnings_of(out, self->runs[run]);
}

static void add_facts_of(text_buffer *out, const finished_run *run) {
    const csv_table *summary = &run->summary;
    text_add(out, "<details><summary>");
    plot_escape(out, run->folder);
    text_add(out, ": started ");
    plot_escape(out, text_of(run, "started"));
    text_add(out, ", trained in %s</summary>\n<div class=\"wide\"><table class=\"facts\"><tbody>\n",
             duration(finished_run_number(run, "training_seconds")).text);
    for (size_t column = 0; column < summary->columns; column++) {
        const char *value = summary->cells[summary->columns + column];
        if (!value[0])
            continue;
        text_add(out, "<tr><th>");
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
