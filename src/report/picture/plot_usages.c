#include "report/picture/plot_pictures.h"

#include "report/compare/interval.h"
#include "report/picture/plot_palette.h"

#include <math.h>
#include <stdlib.h>

enum { TOP = 90, BOTTOM = 68, AREA = 170, BETWEEN = 44, LEFT = 76, RIGHT = 24 };

static const struct {
    const char *title, *unit;
} panels[PLOT_USAGES] = {{"utilisation", "%"}, {"memory in use", "GB"}};

/* More lines than colours are one grey bundle around their median. */
static bool is_crowd(const plot_usage *self) {
    return self->count > PLOT_SERIES_COUNT;
}

int plot_usage_height(const plot_usage *self) {
    size_t entries = is_crowd(self) ? 2 : self->count;
    return TOP + PLOT_USAGES * AREA + (PLOT_USAGES - 1) * BETWEEN + BOTTOM +
           script_legend_height(entries, 2);
}

static double highest(const plot_usage *self, int panel) {
    double out = 0;
    for (size_t user = 0; user < self->count; user++)
        for (size_t time = 0; time < self->times; time++)
            out = fmax(out, self->users[user].values[panel][time]);
    if (panel == PLOT_USE)
        return fmax(out, 100);
    return out > 0 ? 1.1 * out : 1;
}

/* A moment without a sample has no row: the line goes on over it. The first has its row, so that no
 * block is empty. */
static void add_line(text_buffer *out, const plot_usage *self, const double *values) {
    for (size_t time = 0; time < self->times; time++)
        if (time == 0 || !isnan(values[time]))
            text_add(out, "%.6g %.6g\n", self->seconds[time], values[time]);
}

static void add_median(text_buffer *out, const plot_usage *self, int panel) {
    double *room = malloc((self->count + 1) * sizeof *room);
    double *line = malloc((self->times + 1) * sizeof *line);
    for (size_t time = 0; room && line && time < self->times; time++) {
        size_t count = 0;
        for (size_t user = 0; user < self->count; user++)
            if (!isnan(self->users[user].values[panel][time]))
                room[count++] = self->users[user].values[panel][time];
        line[time] = median(room, count);
    }
    out->failed |= !room || !line;
    if (room && line)
        add_line(out, self, line);
    free(room);
    free(line);
}

static void add_data(text_buffer *out, const plot_usage *self, int panel) {
    for (size_t user = 0; user < self->count; user++) {
        text_add(out, "$d%d_%zu << END\n", panel, user);
        add_line(out, self, self->users[user].values[panel]);
        text_add(out, "END\n");
    }
    if (!is_crowd(self))
        return;
    text_add(out, "$m%d << END\n", panel);
    add_median(out, self, panel);
    text_add(out, "END\n");
}

static void add_lines(text_buffer *out, const plot_usage *self, int panel) {
    for (size_t user = 0; user < self->count; user++) {
        text_add(out, "%s$d%d_%zu using 1:2 with lines ", user ? ", \\\n  " : "plot ", panel, user);
        if (is_crowd(self))
            text_add(out, "lw 0.5 lc rgb series%d", PLOT_SERIES_COUNT);
        else
            text_add(out, "lw 1.5 lc rgb series%d", script_series(user));
    }
    if (is_crowd(self))
        text_add(out, ", \\\n  $m%d using 1:2 with lines lw 2.2 lc rgb series1", panel);
    text_add(out, "\n");
}

static void add_legend(text_buffer *out, int height, const plot_usage *self) {
    script_entry entries[PLOT_SERIES_COUNT];
    if (is_crowd(self)) {
        entries[0] = (script_entry){.name = "median of the ranks", .kind = SCRIPT_SQUARE};
        entries[1] = (script_entry){
            .name = "each of them", .series = PLOT_SERIES_COUNT - 1, .kind = SCRIPT_SQUARE};
        script_add_legend(out, height, entries, 2, 2);
        return;
    }
    for (size_t user = 0; user < self->count; user++)
        entries[user] = (script_entry){
            .name = self->users[user].name, .series = (int)user, .kind = SCRIPT_SQUARE};
    script_add_legend(out, height, entries, self->count, 2);
}

static void add_panel(text_buffer *out, int height, const plot_usage *self, int panel) {
    double top = TOP + panel * (AREA + BETWEEN), most = highest(self, panel);
    script_area area = {LEFT, RIGHT, top, height - top - AREA};
    script_set_area(out, height, &area);
    script_add_label(out, height,
                     &(script_label){.x = LEFT, .y = top - 14, .text = panels[panel].title});
    script_add_ylabel(out, height, &area, panels[panel].unit);
    text_add(out, "set yrange [0:%.6g]\nset ytics %.6g\n", 1.04 * most, script_step(most, 5));
    text_add(out, "set format x '%s'\n", panel + 1 == PLOT_USAGES ? "%g" : "");
    if (panel + 1 == PLOT_USAGES) {
        text_add(out, "set xlabel 'seconds since training began' textcolor rgb ink offset 0,0.3\n");
        add_legend(out, height, self);
    }
    add_lines(out, self, panel);
    text_add(out, "unset label\n");
}

void plot_usage_script(text_buffer *out, plot_format format, const plot_usage *self) {
    int height = plot_usage_height(self);
    double last = self->times > 0 ? self->seconds[self->times - 1] : 0;
    script_begin(out, format, height);
    for (int panel = 0; panel < PLOT_USAGES; panel++)
        add_data(out, self, panel);
    text_add(out, "set multiplot\n");
    script_add_titles(out, height, self->title, self->subtitle);
    text_add(out, "set xrange [0:%.6g]\nset xtics %.6g\n", 1.02 * last,
             script_step(last > 0 ? 1.02 * last : 1, 8));
    for (int panel = 0; panel < PLOT_USAGES; panel++)
        add_panel(out, height, self, panel);
    text_add(out, "unset multiplot\n");
}
