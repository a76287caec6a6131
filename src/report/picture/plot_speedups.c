/* Numbers of ranks stand side by side at equal distances, as they mostly double. What has the same
 * number is drawn beside each other. */
#include "report/picture/plot_pictures.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    TOP = 76,
    BOTTOM = 68,
    AREA = 300,
    LEFT = 70,
    RIGHT = 24,
    AREA_WIDTH = PLOT_WIDTH - LEFT - RIGHT,
    VALUE_WIDTH = 62,
    MOST_GROUPS = 64,
    MOST_SERIES = 64
};

typedef struct layout {
    const plot_speedups *self;
    int groups[MOST_GROUPS]; /* the numbers of ranks, ascending */
    int group_count;
    const char *series[MOST_SERIES];
    size_t series_count;
    double lowest, highest; /* that the axis must show */
    bool logarithmic;
    bool crowded; /* values are written upwards */
    int columns;  /* of the legend */
} layout;

static void add_group(layout *out, int ranks) {
    int at = 0;
    while (at < out->group_count && out->groups[at] < ranks)
        at++;
    if ((at < out->group_count && out->groups[at] == ranks) || out->group_count == MOST_GROUPS)
        return;
    memmove(out->groups + at + 1, out->groups + at,
            (size_t)(out->group_count - at) * sizeof out->groups[0]);
    out->groups[at] = ranks;
    out->group_count++;
}

static size_t series_of(layout *self, const char *name) {
    for (size_t index = 0; index < self->series_count; index++)
        if (strcmp(self->series[index], name) == 0)
            return index;
    if (self->series_count == MOST_SERIES)
        return MOST_SERIES - 1;
    self->series[self->series_count] = name;
    return self->series_count++;
}

/* How many of the index-th point's group stand before it; `all`: how many there are. */
static size_t count_before(const layout *self, size_t index, size_t *all) {
    const plot_speedup *points = self->self->points;
    size_t before = 0;
    *all = 0;
    for (size_t other = 0; other < self->self->count; other++)
        if (points[other].ranks == points[index].ranks) {
            before += other < index;
            ++*all;
        }
    return before;
}

/* Between two points of the index-th one's group; 1: from one group to the next. */
static double apart(const layout *self, size_t index) {
    size_t all;
    count_before(self, index, &all);
    return all > 1 ? fmin(0.8 / (double)all, 0.3) : 1;
}

static size_t longest_name(const layout *self) {
    size_t longest = strlen(self->self->baseline);
    for (size_t series = 0; series < self->series_count; series++)
        if (strlen(self->series[series]) > longest)
            longest = strlen(self->series[series]);
    return longest;
}

/* As far as they do not press all else together: two pairs of runs make an interval from 0.06 to
 * 20. What is longer leaves the area at its edge. */
static void include_intervals(layout *self) {
    double lowest = self->lowest / 2, highest = 1.5 * self->highest;
    for (size_t index = 0; index < self->self->count; index++) {
        const plot_speedup *point = &self->self->points[index];
        if (isnan(point->low) || isnan(point->high))
            continue;
        self->lowest = fmin(self->lowest, fmax(point->low, lowest));
        self->highest = fmax(self->highest, fmin(point->high, highest));
    }
}

static layout arrange(const plot_speedups *self) {
    layout out = {.self = self, .lowest = 1, .highest = 1};
    add_group(&out, self->baseline_ranks);
    for (size_t index = 0; index < self->count; index++) {
        const plot_speedup *point = &self->points[index];
        add_group(&out, point->ranks);
        series_of(&out, point->series);
        out.lowest = fmin(out.lowest, point->ratio);
        out.highest = fmax(out.highest, point->ratio);
    }
    out.highest = fmax(out.highest, (double)out.groups[out.group_count - 1] / self->baseline_ranks);
    out.logarithmic = out.highest > 16;
    include_intervals(&out);
    for (size_t index = 0; index < self->count; index++)
        out.crowded |= apart(&out, index) * AREA_WIDTH / out.group_count < VALUE_WIDTH;
    out.columns = out.series_count > 4 && longest_name(&out) <= 44 ? 2 : 1;
    return out;
}

static int group_of(const layout *self, int ranks) {
    for (int group = 0; group < self->group_count; group++)
        if (self->groups[group] == ranks)
            return group;
    return self->group_count - 1;
}

/* The index-th point's place among those of its group, around the group's middle. */
static double place_of(const layout *self, size_t index) {
    size_t all, before = count_before(self, index, &all);
    return group_of(self, self->self->points[index].ranks) +
           apart(self, index) * ((double)before - (double)(all - 1) / 2);
}

int plot_speedups_height(const plot_speedups *self) {
    layout places = arrange(self);
    return TOP + AREA + BOTTOM + script_legend_height(places.series_count + 2, places.columns);
}

static void add_axes(text_buffer *out, const layout *self) {
    text_add(out, "set xrange [-0.5:%.3f]\nset xtics (", self->group_count - 0.5);
    for (int group = 0; group < self->group_count; group++)
        text_add(out, "%s'%d' %d", group ? ", " : "", self->groups[group], group);
    text_add(out, ")\nset xlabel 'ranks' textcolor rgb ink offset 0,0.3\n"
                  "");
    double room = self->crowded ? 1.25 : 1.14;
    if (self->logarithmic)
        text_add(out, "set logscale y 2\nset yrange [%.6g:%.6g]\n",
                 pow(2, floor(log2(fmax(self->lowest, 1.0 / 1024)) - 0.25)),
                 (self->crowded ? 2.4 : 1.4) * self->highest);
    else
        text_add(out, "set yrange [0:%.6g]\nset ytics %.6g\n", room * self->highest,
                 script_step(room * self->highest, 7));
}

static void add_data(text_buffer *out, const layout *self) {
    text_add(out, "$ideal << END\n");
    for (int group = 0; group < self->group_count; group++)
        text_add(out, "%.2f %.9g\n", group - 0.44,
                 (double)self->groups[group] / self->self->baseline_ranks);
    text_add(out, "END\n");
    for (size_t series = 0; series < self->series_count; series++) {
        text_add(out, "$series%zu << END\n", series + 1);
        for (size_t index = 0; index < self->self->count; index++) {
            const plot_speedup *point = &self->self->points[index];
            if (strcmp(point->series, self->series[series]) != 0)
                continue;
            bool known = !isnan(point->low) && !isnan(point->high);
            text_add(out, "%.4f %.9g %.9g %.9g \"%.*fx\"\n", place_of(self, index), point->ratio,
                     known ? point->low : point->ratio, known ? point->high : point->ratio,
                     point->ratio < 10    ? 2
                     : point->ratio < 100 ? 1
                                          : 0,
                     point->ratio);
        }
        text_add(out, "END\n");
    }
}

/* Beside its point a value does not lie on the ideal; where that has no room, it is written up. */
static void add_plot(text_buffer *out, const layout *self) {
    text_add(out,
             "plot $ideal using 1:2:(0.88):(0) with vectors nohead lw 1.5 dt (8,6) lc rgb faint, "
             "\\\n  '+' using (%d):(1) every ::0::0 with points pt 2 ps 1.2 lw 2 lc rgb faint",
             group_of(self, self->self->baseline_ranks));
    for (size_t series = 0; series < self->series_count; series++) {
        text_add(out,
                 ", \\\n  $series%zu using 1:2:3:4 with yerrorbars pt %d ps 0.9 lw 2 lc rgb "
                 "series%d",
                 series + 1, script_point(series), script_series(series));
        text_add(out, ", \\\n  $series%zu using 1:%d:5 with labels left %s textcolor rgb ink",
                 series + 1, self->crowded ? 4 : 2,
                 self->crowded ? "rotate by 90 offset 0,0.6" : "offset 1.3,0");
    }
    text_add(out, "\n");
}

static void add_legend(text_buffer *out, int height, const layout *self) {
    script_entry entries[MOST_SERIES + 2];
    size_t count = 0;
    for (size_t series = 0; series < self->series_count; series++)
        entries[count++] = (script_entry){.name = self->series[series], .series = (int)series};
    entries[count++] = (script_entry){.name = self->self->baseline, .kind = SCRIPT_CROSS};
    entries[count++] =
        (script_entry){.name = "ideal: as many times as fast as ranks", .kind = SCRIPT_DASHES};
    script_add_legend(out, height, entries, count, self->columns);
}

void plot_speedups_script(text_buffer *out, plot_format format, const plot_speedups *self) {
    layout places = arrange(self);
    int height = plot_speedups_height(self);
    script_area area = {LEFT, RIGHT, TOP, height - TOP - AREA};
    script_begin(out, format, height);
    script_add_titles(out, height, self->title, self->subtitle);
    script_set_area(out, height, &area);
    script_add_ylabel(out, height, &area, "speedup: times as fast");
    add_axes(out, &places);
    add_legend(out, height, &places);
    add_data(out, &places);
    add_plot(out, &places);
}
