#include "report/picture/plot_pictures.h"

#include "report/compare/interval.h"
#include "report/picture/plot_palette.h"

#include <math.h>
#include <stdlib.h>

enum { TOP = 100, BOTTOM = 68, AREA = 270, LEFT = 70, RIGHT = 20, BETWEEN = 28, POINTS = 12 };

typedef struct range {
    double low, high;
    size_t epochs;
    double across; /* the last `at`; 0: epochs stand at their numbers */
} range;

static void widen(range *out, const plot_curves *self, const plot_run *run) {
    out->epochs = run->epochs > out->epochs ? run->epochs : out->epochs;
    if (run->at && run->epochs > 0)
        out->across = fmax(out->across, run->at[run->epochs - 1]);
    for (int panel = 0; panel < PLOT_PANELS; panel++)
        for (size_t epoch = 0; epoch < run->epochs; epoch++) {
            out->low = fmin(out->low, self->factor * run->values[panel][epoch]);
            out->high = fmax(out->high, self->factor * run->values[panel][epoch]);
        }
}

static range range_of(const plot_curves *self) {
    range out = {INFINITY, -INFINITY, 1, 0};
    for (size_t curve = 0; curve < self->count; curve++)
        for (size_t run = 0; run < self->curves[curve].run_count; run++)
            widen(&out, self, &self->curves[curve].runs[run]);
    if (!(out.high >= out.low))
        return (range){0, 1, out.epochs, out.across};
    if (out.low < 0.4 * out.high)
        out.low = 0;
    double margin = out.high > out.low ? 0.06 * (out.high - out.low) : 0.1 * fabs(out.high) + 0.01;
    out.high = fmin(out.high + margin, self->most + 0.3 * margin);
    if (out.high > 0.85 * self->most)
        out.high = 1.02 * self->most; /* so that the most has its line */
    out.low = out.low > 0 ? fmax(out.low - margin, 0) : 0;
    return out;
}

static size_t most_epochs(const plot_curve *curve) {
    size_t most = 0;
    for (size_t run = 0; run < curve->run_count; run++)
        most = curve->runs[run].epochs > most ? curve->runs[run].epochs : most;
    return most;
}

static double place_of(const plot_run *run, size_t epoch) {
    return run->at ? run->at[epoch] : (double)epoch + 1;
}

/* An epoch that was not evaluated has no row, so that the line goes on from the one before to the
 * one after; the first has its row, so that no block is empty. */
static void add_point(text_buffer *out, size_t epoch, double place, double value) {
    if (epoch == 0 || !isnan(value))
        text_add(out, "%.9g %.9g\n", place, value);
}

/* The medians over the runs that have this epoch, of where it stands and of its value. */
static void add_median(text_buffer *out, const plot_curves *self, const plot_curve *curve,
                       int panel, size_t epoch, double *room) {
    size_t count = 0, measured = 0;
    for (size_t run = 0; run < curve->run_count; run++)
        if (epoch < curve->runs[run].epochs)
            room[count++] = place_of(&curve->runs[run], epoch);
    double place = median(room, count);
    for (size_t run = 0; run < curve->run_count; run++)
        if (epoch < curve->runs[run].epochs && !isnan(curve->runs[run].values[panel][epoch]))
            room[measured++] = curve->runs[run].values[panel][epoch];
    add_point(out, epoch, place, self->factor * median(room, measured));
}

/* Block `$PANEL_CURVE`: index 0 is the median, the runs follow. */
static void add_data(text_buffer *out, const plot_curves *self, int panel, size_t index) {
    const plot_curve *curve = &self->curves[index];
    double *room = malloc((curve->run_count + 1) * sizeof *room);
    if (!room) {
        out->failed = true;
        return;
    }
    text_add(out, "$d%d_%zu << END\n", panel, index);
    for (size_t epoch = 0; epoch < most_epochs(curve); epoch++)
        add_median(out, self, curve, panel, epoch, room);
    free(room);
    for (size_t run = 0; curve->run_count > 1 && run < curve->run_count; run++) {
        text_add(out, "\n\n");
        for (size_t epoch = 0; epoch < curve->runs[run].epochs; epoch++)
            add_point(out, epoch, place_of(&curve->runs[run], epoch),
                      self->factor * curve->runs[run].values[panel][epoch]);
    }
    text_add(out, "END\n");
}

static size_t most_measured(const plot_curves *self, int panel) {
    size_t most = 0;
    for (size_t index = 0; index < self->count; index++)
        for (size_t run = 0; run < self->curves[index].run_count; run++) {
            const plot_run *from = &self->curves[index].runs[run];
            size_t measured = 0;
            for (size_t epoch = 0; epoch < from->epochs; epoch++)
                measured += !isnan(from->values[panel][epoch]);
            most = measured > most ? measured : most;
        }
    return most;
}

static void add_panel(text_buffer *out, const plot_curves *self, int panel) {
    const char *separator = "plot ";
    size_t measured = most_measured(self, panel), every = (measured + POINTS - 1) / POINTS;
    for (int median = 0; median < 2; median++)
        for (size_t index = 0; index < self->count; index++) {
            size_t runs = self->curves[index].run_count;
            int colour = script_series(index);
            for (size_t run = 1; !median && runs > 1 && run <= runs; run++, separator = ", \\\n  ")
                text_add(out, "%s$d%d_%zu index %zu using 1:2 with lines lw 0.6 lc rgb series%d",
                         separator, panel, index, run, colour);
            if (median && runs > 0) {
                text_add(out, "%s$d%d_%zu index 0 using 1:2 with linespoints lw 2 dt %s pi %zu ",
                         separator, panel, index, index < PLOT_SERIES_COUNT ? "1" : "(6,4)",
                         every > 0 ? every : 1);
                text_add(out, "pt %d ps 0.8 lc rgb series%d", script_point(index), colour);
                separator = ", \\\n  ";
            }
        }
    text_add(out, "\n");
}

int plot_curves_height(const plot_curves *self) {
    return TOP + AREA + BOTTOM + script_legend_height(self->count, 1);
}

static void add_legend(text_buffer *out, int height, const plot_curves *self) {
    script_entry *entries = calloc(self->count + 1, sizeof *entries);
    if (!entries) {
        out->failed = true;
        return;
    }
    for (size_t index = 0; index < self->count; index++)
        entries[index] = (script_entry){.name = self->curves[index].name, .series = (int)index};
    script_add_legend(out, height, entries, self->count, 1);
    free(entries);
}

static void add_axes(text_buffer *out, const plot_curves *self, const range *limits) {
    double epochs = (double)limits->epochs, aside = epochs > 1 ? 0.03 * (epochs - 1) : 0.5;
    if (limits->across > 0)
        text_add(out, "set xrange [0:%.9g]\nset xtics %.9g\n", 1.04 * limits->across,
                 script_step(1.04 * limits->across, 8));
    else
        text_add(out, "set xrange [%.4f:%.4f]\nset xtics 1,%.0f,%.0f\n", 1 - aside, epochs + aside,
                 fmax(1, ceil((epochs - 1) / 11)), epochs);
    text_add(out, "set yrange [%.9g:%.9g]\nset ytics %.9g\nset xlabel ", limits->low, limits->high,
             script_step(limits->high - limits->low, 7));
    script_quote(out, self->across ? self->across : "epoch", 40);
    text_add(out, " textcolor rgb ink offset 0,0.3\n");
}

void plot_curves_script(text_buffer *out, plot_format format, const plot_curves *self) {
    static const char *const titles[PLOT_PANELS] = {"on the training images", "on the test images"};
    int height = plot_curves_height(self), below = height - TOP - AREA;
    double width = (PLOT_WIDTH - LEFT - RIGHT - BETWEEN) / 2.0;
    range limits = range_of(self);
    script_begin(out, format, height);
    for (int panel = 0; panel < PLOT_PANELS; panel++)
        for (size_t index = 0; index < self->count; index++)
            add_data(out, self, panel, index);
    text_add(out, "set multiplot\n");
    add_axes(out, self, &limits);
    script_add_titles(out, height, self->title, self->subtitle);
    for (int panel = 0; panel < PLOT_PANELS; panel++) {
        double left = LEFT + panel * (width + BETWEEN);
        script_area area = {left, PLOT_WIDTH - left - width, TOP, below};
        script_set_area(out, height, &area);
        script_add_label(out, height,
                         &(script_label){.x = left, .y = TOP - 14, .text = titles[panel]});
        if (panel == PLOT_TEST)
            text_add(out, "set format y ''\n");
        else
            script_add_ylabel(out, height, &area, self->unit);
        if (panel == PLOT_TEST)
            add_legend(out, height, self);
        add_panel(out, self, panel);
        text_add(out, "unset label\n");
    }
    text_add(out, "unset multiplot\n");
}
