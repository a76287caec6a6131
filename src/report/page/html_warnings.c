/* What the runs themselves recorded that a reader of their times should know: columns of
 * summary.csv, and the warnings of the checks at a run's start, from its log.txt. What several runs
 * say is one item. */
#include "report/page/html_parts.h"

#include "report/facts/files.h"
#include "report/picture/plot_svg.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct warning {
    char *text;
    const finished_run *first;
    size_t runs;
    const finished_run *last; /* that said it: a run counts once */
} warning;

typedef struct warning_list {
    warning *items; /* [count] */
    size_t count;
    bool failed; /* no memory */
} warning_list;

static void add(warning_list *self, const finished_run *run, const char *what, const char *more) {
    text_buffer text = {0};
    text_add(&text, "%s%s", what, more);
    for (size_t index = 0; text.bytes && index < self->count; index++)
        if (strcmp(self->items[index].text, text.bytes) == 0) {
            self->items[index].runs += self->items[index].last != run;
            self->items[index].last = run;
            text_free(&text);
            return;
        }
    warning *items = realloc(self->items, (self->count + 1) * sizeof *items);
    if (items)
        self->items = items;
    if (!items || !text.bytes) {
        self->failed = true;
        text_free(&text);
        return;
    }
    items[self->count++] = (warning){text.bytes, run, 1, run};
}

static void add_columns(warning_list *self, const finished_run *run) {
    const char *held_back = finished_run_text(run, "gpu_clocks_held_back_by");
    const char *graph = finished_run_text(run, "graph");
    if (finished_run_number(run, "oversubscribed") > 0)
        add(self, run, "ranks shared cores: its times are no measure of scaling", "");
    if (held_back[0] && strcmp(held_back, "none") != 0)
        add(self, run, "GPU clocks were held back while it trained: ", held_back);
    if (finished_run_number(run, "suspended_total_seconds") > 0)
        add(self, run, "its processes did not run for some time, in seconds: ",
            finished_run_text(run, "suspended_total_seconds"));
    if (finished_run_number(run, "skipped_updates") > 0)
        add(self, run, "updates were skipped, as gradients overflowed: ",
            finished_run_text(run, "skipped_updates"));
    if (strncmp(graph, "no", 2) == 0)
        add(self, run, "its steps were not replayed as a CUDA graph: ", graph);
    if (finished_run_number(run, "profile_steps") > 0)
        add(self, run, "steps of it were profiled, which takes time: ",
            finished_run_text(run, "profile_steps"));
}

/* The lines "warning  ..." of its log (train/examine.c). A log that is gone is no matter here. */
static void add_log(warning_list *self, const finished_run *run) {
    static const char mark[] = "warning ";
    char path[4200], line[2048];
    format_plain(path, sizeof path, "%.4096s/" LOG_FILE, run->folder);
    FILE *file = fopen(path, "re");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, mark, sizeof mark - 1) == 0)
            add(self, run, line + sizeof mark - 1 + strspn(line + sizeof mark - 1, " "), "");
    }
    if (file)
        fclose(file);
}

static void add_item(text_buffer *out, const warning *self) {
    text_add(out, "<li>");
    plot_escape(out, self->first->folder);
    if (self->runs > 1)
        text_add(out, " and %zu more", self->runs - 1);
    text_add(out, ": ");
    plot_escape(out, self->text);
    text_add(out, "</li>\n");
}

void html_run_warnings(text_buffer *out, const configuration_list *configurations) {
    warning_list list = {0};
    for (size_t index = 0; index < configurations->count; index++)
        for (size_t run = 0; run < configurations->items[index].count; run++) {
            add_columns(&list, configurations->items[index].runs[run]);
            add_log(&list, configurations->items[index].runs[run]);
        }
    for (size_t index = 0; index < list.count; index++) {
        add_item(out, &list.items[index]);
        free(list.items[index].text);
    }
    out->failed |= list.failed;
    free(list.items);
}
