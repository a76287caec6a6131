#include "report/picture/plot_pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOP = 76, BOTTOM = 68, AREA = 300, LEFT = 84, RIGHT = 24 };

typedef struct layout {
    const plot_throughputs *self;
    double *batches; /* [batch_count], ascending */
    size_t batch_count;
    size_t *starts; /* [series_count + 1]: where each series begins */
    size_t series_count;
    double highest;
} layout;

static int by_value(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static bool begins_series(const plot_throughputs *self, size_t index) {
    const plot_throughput *points = self->points;
    return index == 0 || points[index].published != points[index - 1].published ||
           strcmp(points[index].series, points[index - 1].series) != 0;
}

/* False without memory. */
static bool arrange(layout *out, const plot_throughputs *self) {
    *out = (layout){.self = self,
                    .batches = calloc(self->count + 1, sizeof *out->batches),
                    .starts = calloc(self->count + 1, sizeof *out->starts)};
    if (!out->batches || !out->starts)
        return false;
    for (size_t index = 0; index < self->count; index++) {
        out->batches[index] = self->points[index].batch;
        out->highest = fmax(out->highest, self->points[index].images_per_second);
        if (begins_series(self, index))
            out->starts[out->series_count++] = index;
    }
    out->starts[out->series_count] = self->count;
    qsort(out->batches, self->count, sizeof *out->batches, by_value);
    for (size_t index = 0; index < self->count; index++)
        if (index == 0 || out->batches[index] != out->batches[out->batch_count - 1])
            out->batches[out->batch_count++] = out->batches[index];
    return true;
}

static void disarrange(layout *self) {
    free(self->batches);
    free(self->starts);
}

static size_t place_of(const layout *self, double batch) {
    size_t place = 0;
    while (place + 1 < self->batch_count && self->batches[place] < batch)
        place++;
    return place;
}

int plot_throughputs_height(const plot_throughputs *self) {
    size_t series = 0;
    for (size_t index = 0; index < self->count; index++)
        series += begins_series(self, index);
    return TOP + AREA + BOTTOM + script_legend_height(series, 1);
}

/* Numbers that stand close together would lie on each other: then only some are written. */
static void add_axes(text_buffer *out, const layout *self) {
    size_t every = (self->batch_count + 15) / 16;
    text_add(out, "set xrange [-0.5:%.3f]\nset xtics (", (double)self->batch_count - 0.5);
    for (size_t place = 0; place < self->batch_count; place += every)
        text_add(out, "%s'%.0f' %zu", place ? ", " : "", self->batches[place], place);
    text_add(out,
             ")\nset xlabel 'batch per rank' textcolor rgb ink offset 0,0.3\n"
             "set yrange [0:%.6g]\nset ytics %.6g\n",
             1.08 * self->highest, script_step(1.08 * self->highest, 7));
}

static void add_data(text_buffer *out, const layout *self) {
    for (size_t series = 0; series < self->series_count; series++) {
        text_add(out, "$series%zu << END\n", series);
        for (size_t index = self->starts[series]; index < self->starts[series + 1]; index++)
            text_add(out, "%zu %.9g\n", place_of(self, self->self->points[index].batch),
                     self->self->points[index].images_per_second);
        text_add(out, "END\n");
    }
}

static void add_plot(text_buffer *out, const layout *self) {
    for (size_t series = 0; series < self->series_count; series++) {
        text_add(out, "%s$series%zu using 1:2 with ", series ? ", \\\n  " : "plot ", series);
        if (self->self->points[self->starts[series]].published)
            text_add(out, "points pt %d ps 1.2 lw 1.5 lc rgb faint", script_hollow(series));
        else
            text_add(out, "linespoints lw 2 pt %d ps 1.1 lc rgb series%d", script_point(series),
                     script_series(series));
    }
    text_add(out, "\n");
}

static void add_legend(text_buffer *out, int height, const layout *self) {
    script_entry *entries = calloc(self->series_count + 1, sizeof *entries);
    if (!entries) {
        out->failed = true;
        return;
    }
    for (size_t series = 0; series < self->series_count; series++) {
        const plot_throughput *first = &self->self->points[self->starts[series]];
        entries[series] = (script_entry){.name = first->series,
                                         .series = (int)series,
                                         .kind = first->published ? SCRIPT_HOLLOW : SCRIPT_POINT};
    }
    script_add_legend(out, height, entries, self->series_count, 1);
    free(entries);
}

void plot_throughputs_script(text_buffer *out, plot_format format, const plot_throughputs *self) {
    layout places;
    int height = plot_throughputs_height(self);
    script_area area = {LEFT, RIGHT, TOP, height - TOP - AREA};
    if (!arrange(&places, self)) {
        out->failed = true;
        disarrange(&places);
        return;
    }
    script_begin(out, format, height);
    script_add_titles(out, height, self->title, self->subtitle);
    script_set_area(out, height, &area);
    script_add_ylabel(out, height, &area, "images a second");
    add_axes(out, &places);
    add_legend(out, height, &places);
    add_data(out, &places);
    add_plot(out, &places);
    disarrange(&places);
}
