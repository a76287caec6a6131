#include "report/picture/plot_pictures.h"

#include <math.h>
#include <stdlib.h>

enum { TOP = 76, BOTTOM = 66, BAR = 54, LEGEND_COLUMNS = 4 };

int plot_bars_height(const plot_bars *self) {
    return TOP + BAR * (int)self->count + BOTTOM +
           script_legend_height(self->part_count + (self->limit != NULL), LEGEND_COLUMNS);
}

/* Its parts together, where a file was changed by hand more than its total. */
static double length_of(const plot_bars *self, const plot_bar *bar) {
    double parts = 0;
    for (size_t part = 0; part < self->part_count; part++)
        parts += fmax(bar->parts[part], 0);
    return fmax(parts, bar->total);
}

/* A limit far beyond every bar would press them to nothing: it is left out of the picture then, and
 * stands beside the bar as a number. */
static double longest(const plot_bars *self) {
    double out = 0, limit = 0;
    for (size_t index = 0; index < self->count; index++)
        out = fmax(out, length_of(self, &self->bars[index]));
    for (size_t index = 0; index < self->count; index++)
        if (self->bars[index].limit < 4 * out)
            limit = fmax(limit, self->bars[index].limit);
    return fmax(out, limit) > 0 ? fmax(out, limit) : 1;
}

/* Bars from the top down, at y = -1, -2, ... */
static void add_part(text_buffer *out, const plot_bars *self, size_t part) {
    text_add(out, "$part%zu << END\n", part);
    for (size_t index = 0; index < self->count; index++) {
        const double *parts = self->bars[index].parts;
        double before = 0, here = fmax(parts[part], 0);
        for (size_t other = 0; other < part; other++)
            before += fmax(parts[other], 0);
        text_add(out, "%.9g %zu %.9g %.9g\n", before, index + 1, before, before + here);
    }
    text_add(out, "END\n");
}

static int decimals(double value) {
    return value < 10 ? 2 : 1;
}

/* What stands at a bar's end; where there are limits, whose marks may be there, above its right
 * end. */
static void add_total(text_buffer *out, const plot_bars *self, size_t index) {
    const plot_bar *bar = &self->bars[index];
    text_add(out, "set label '%.*f %s", decimals(bar->total), bar->total, self->unit);
    if (!isnan(bar->limit))
        text_add(out, " of %.*f", decimals(bar->limit), bar->limit);
    if (self->limit)
        text_add(out, "' at graph 1, first %.3f right textcolor rgb ink front\n",
                 -(double)(index + 1) + 0.38);
    else
        text_add(out, "' at %.9g,-%zu left offset 0.6,0 textcolor rgb ink front\n",
                 length_of(self, bar), index + 1);
}

static void add_names(text_buffer *out, const plot_bars *self) {
    for (size_t index = 0; index < self->count; index++) {
        text_add(out, "set label ");
        script_quote(out, self->bars[index].name, self->limit ? 78 : 96);
        text_add(out, " at 0,%.3f left offset 0.2,0 textcolor rgb ink noenhanced front\n",
                 -(double)(index + 1) + 0.38);
        add_total(out, self, index);
    }
}

static void add_limits(text_buffer *out, const plot_bars *self, double range) {
    for (size_t index = 0; index < self->count; index++)
        if (self->bars[index].limit <= range)
            text_add(out, "set arrow from %.9g,%.3f to %.9g,%.3f nohead lw 2.5 lc rgb ink front\n",
                     self->bars[index].limit, -(double)(index + 1) - 0.32, self->bars[index].limit,
                     -(double)(index + 1) + 0.2);
}

static void add_legend(text_buffer *out, int height, const plot_bars *self) {
    script_entry *entries = calloc(self->part_count + 1, sizeof *entries);
    size_t count = 0;
    if (!entries) {
        out->failed = true;
        return;
    }
    for (; count < self->part_count; count++)
        entries[count] = (script_entry){.name = self->parts[count].name,
                                        .series = self->parts[count].series,
                                        .kind = SCRIPT_SQUARE};
    if (self->limit)
        entries[count++] = (script_entry){.name = self->limit, .kind = SCRIPT_MARK};
    script_add_legend(out, height, entries, count, LEGEND_COLUMNS);
    free(entries);
}

void plot_bars_script(text_buffer *out, plot_format format, const plot_bars *self) {
    int height = plot_bars_height(self);
    double most = longest(self), range = (self->limit ? 1.04 : 1.12) * most;
    script_begin(out, format, height);
    script_add_titles(out, height, self->title, self->subtitle);
    script_set_area(out, height,
                    &(script_area){28, 24, TOP, height - TOP - BAR * (int)self->count});
    text_add(out,
             "unset ytics\nset border 1\nset grid noytics xtics lt 1 lw 1 lc rgb grid back\n"
             "set xrange [0:%.9g]\nset xtics %.9g\nset yrange [-%zu.6:-0.4]\n"
             "set xlabel '%s' textcolor rgb ink offset 0,0.3\n"
             "set style fill solid 1 border lc rgb background\n",
             range, script_step(range, 10), self->count, self->across);
    add_names(out, self);
    add_limits(out, self, range);
    for (size_t part = 0; part < self->part_count; part++)
        add_part(out, self, part);
    add_legend(out, height, self);
    for (size_t part = 0; part < self->part_count; part++)
        text_add(
            out,
            "%s$part%zu using 1:(-$2):3:4:(-$2-0.28):(-$2+0.16) with boxxyerror lc rgb series%d",
            part ? ", \\\n  " : "plot ", part, script_series((size_t)self->parts[part].series));
    text_add(out, "\n");
}
