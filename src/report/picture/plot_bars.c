#include "report/picture/plot_pictures.h"

#include <math.h>

enum { TOP = 76, BOTTOM = 66, BAR = 54, LEGEND_COLUMNS = 4 };

static const char *part_name(plot_part part, bool waiting) {
    static const char *const names[PLOT_PARTS] = {
        [PLOT_FORWARD] = "forward",
        [PLOT_BACKWARD] = "backward",
        [PLOT_OPTIMIZER] = "optimizer",
        [PLOT_DATA] = "data",
        [PLOT_WAITING] = "waiting for others",
        [PLOT_TRANSFER] = "transfer",
        [PLOT_OTHER] = "other",
    };
    return part == PLOT_TRANSFER && !waiting ? "communication" : names[part];
}

/* What is lost has the warm colours. */
static int series_of(plot_part part) {
    static const int series[PLOT_PARTS] = {
        [PLOT_FORWARD] = 5, [PLOT_BACKWARD] = 0, [PLOT_OPTIMIZER] = 2, [PLOT_DATA] = 3,
        [PLOT_WAITING] = 4, [PLOT_TRANSFER] = 1, [PLOT_OTHER] = 7,
    };
    return series[part];
}

int plot_bars_height(const plot_bars *self) {
    return TOP + BAR * (int)self->count + BOTTOM +
           script_legend_height(PLOT_PARTS - !self->waiting, LEGEND_COLUMNS);
}

/* Its parts together, where a file was changed by hand more than its time. */
static double length_of(const plot_bar *bar) {
    double parts = 0;
    for (int part = 0; part < PLOT_PARTS; part++)
        parts += fmax(bar->parts[part], 0);
    return fmax(parts, bar->seconds);
}

static double longest(const plot_bars *self) {
    double out = 0;
    for (size_t index = 0; index < self->count; index++)
        out = fmax(out, length_of(&self->bars[index]));
    return out > 0 ? out : 1;
}

/* Bars from the top down, at y = -1, -2, ... */
static void add_part(text_buffer *out, const plot_bars *self, plot_part part) {
    text_add(out, "$part%d << END\n", part);
    for (size_t index = 0; index < self->count; index++) {
        double before = 0, here = fmax(self->bars[index].parts[part], 0);
        for (int other = 0; other < (int)part; other++)
            before += fmax(self->bars[index].parts[other], 0);
        text_add(out, "%.9g %zu %.9g %.9g\n", before, index + 1, before, before + here);
    }
    text_add(out, "END\n");
}

static void add_names(text_buffer *out, const plot_bars *self) {
    for (size_t index = 0; index < self->count; index++) {
        const plot_bar *bar = &self->bars[index];
        text_add(out, "set label ");
        script_quote(out, bar->name, 96);
        text_add(out, " at 0,%.3f left offset 0.2,0 textcolor rgb ink noenhanced front\n",
                 -(double)(index + 1) + 0.38);
        text_add(out, "set label '%.*f s' at %.9g,-%zu left offset 0.6,0 textcolor rgb ink front\n",
                 bar->seconds < 10 ? 2 : 1, bar->seconds, length_of(bar), index + 1);
    }
}

void plot_bars_script(text_buffer *out, plot_format format, const plot_bars *self) {
    int height = plot_bars_height(self);
    double range = 1.12 * longest(self);
    script_entry entries[PLOT_PARTS];
    size_t count = 0;
    script_begin(out, format, height);
    script_add_titles(out, height, self->title, self->subtitle);
    script_set_area(out, height,
                    &(script_area){28, 24, TOP, height - TOP - BAR * (int)self->count});
    text_add(out,
             "unset ytics\nset border 1\nset grid noytics xtics lt 1 lw 1 lc rgb grid back\n"
             "set xrange [0:%.9g]\nset xtics %.9g\nset yrange [-%zu.6:-0.4]\n"
             "set xlabel 'seconds of training time' textcolor rgb ink offset 0,0.3\n"
             "set style fill solid 1 border lc rgb background\n",
             range, script_step(range, 10), self->count);
    add_names(out, self);
    for (int part = 0; part < PLOT_PARTS; part++) {
        add_part(out, self, part);
        if (part != PLOT_WAITING || self->waiting)
            entries[count++] = (script_entry){.name = part_name(part, self->waiting),
                                              .series = series_of(part),
                                              .kind = SCRIPT_SQUARE};
    }
    script_add_legend(out, height, entries, count, LEGEND_COLUMNS);
    for (int part = 0; part < PLOT_PARTS; part++)
        text_add(
            out,
            "%s$part%d using 1:(-$2):3:4:(-$2-0.28):(-$2+0.16) with boxxyerror lc rgb series%d",
            part ? ", \\\n  " : "plot ", part, script_series((size_t)series_of(part)));
    text_add(out, "\n");
}
