#include "report/picture/plot_script.h"

#include "report/picture/plot_palette.h"

#include <math.h>
#include <string.h>

enum { LEGEND_ROW = 22, LEGEND_MARGIN = 14, LEGEND_LEFT = 28 };

/* A PNG has twice the pixels, for screens that have them. */
void script_begin(text_buffer *out, plot_format format, int height) {
    if (format == PLOT_SVG)
        text_add(out,
                 "set terminal svg size %d,%d dynamic noenhanced font 'sans-serif,13' "
                 "background rgb '%s'\n",
                 PLOT_WIDTH, height, plot_palette[PLOT_BACKGROUND].light);
    else
        text_add(out,
                 "set terminal pngcairo size %d,%d noenhanced font 'sans-serif,9.75' fontscale 2 "
                 "linewidth 2 pointscale 2 background rgb '%s'\n",
                 2 * PLOT_WIDTH, 2 * height,
                 format == PLOT_PNG_DARK ? plot_palette[PLOT_BACKGROUND].dark
                                         : plot_palette[PLOT_BACKGROUND].light);
    text_add(out, "set encoding utf8\nset datafile missing 'NaN'\n");
    for (int colour = 0; colour < PLOT_COLOURS; colour++)
        text_add(out, "%s = '%s'\n", plot_palette[colour].name,
                 format == PLOT_PNG_DARK ? plot_palette[colour].dark : plot_palette[colour].light);
    text_add(out, "unset key\n"
                  "set border 3 lc rgb faint\n"
                  "set tics nomirror scale 0.5 textcolor rgb ink format '%%g'\n"
                  "set grid ytics lt 1 lw 1 lc rgb grid\n");
}

/* Bytes of the character at `text`, as UTF-8 counts them; a stray byte is one of its own. */
static size_t character(const char *text) {
    size_t length = 1;
    while (((unsigned char)text[0] & 0xc0) == 0xc0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length++;
    return length;
}

void script_quote(text_buffer *out, const char *text, size_t longest) {
    size_t characters = 0;
    for (const char *at = text; *at; at += character(at))
        characters++;
    bool cut = characters > longest;
    text_add(out, "'");
    for (size_t index = 0; *text && (!cut || index + 3 < longest); index++) {
        size_t length = character(text);
        if (*text == '\'')
            text_add(out, "''");
        else if ((unsigned char)*text < 0x20 || *text == 0x7f)
            text_add(out, "?");
        else
            text_add_bytes(out, text, length);
        text += length;
    }
    text_add(out, "%s'", cut ? "..." : "");
}

void script_add_label(text_buffer *out, int height, const script_label *label) {
    text_add(out, "set label ");
    script_quote(out, label->text, label->longest ? label->longest : 100);
    text_add(out, " at screen %.6f,%.6f textcolor rgb %s noenhanced front %s\n",
             label->x / PLOT_WIDTH, 1 - label->y / height, label->colour ? label->colour : "ink",
             label->more ? label->more : "");
}

void script_set_area(text_buffer *out, int height, const script_area *area) {
    text_add(out, "set lmargin at screen %.6f\nset rmargin at screen %.6f\n",
             area->left / PLOT_WIDTH, 1 - area->right / PLOT_WIDTH);
    text_add(out, "set tmargin at screen %.6f\nset bmargin at screen %.6f\n",
             1 - area->top / height, area->bottom / height);
}

void script_add_ylabel(text_buffer *out, int height, const script_area *area, const char *text) {
    script_label label = {.x = 16,
                          .y = (area->top + height - area->bottom) / 2,
                          .text = text,
                          .more = "center rotate by 90"};
    script_add_label(out, height, &label);
}

int script_legend_height(size_t count, int columns) {
    size_t rows = (count + (size_t)columns - 1) / (size_t)columns;
    return (int)rows * LEGEND_ROW + LEGEND_MARGIN;
}

int script_series(size_t index) {
    return (int)(index % PLOT_SERIES_COUNT) + 1;
}

int script_point(size_t index) {
    static const int points[] = {7, 5, 9, 13, 11, 6, 4, 8, 12, 10}; /* filled ones first */
    size_t count = sizeof points / sizeof points[0];
    return points[(index + index / PLOT_SERIES_COUNT) % count];
}

int script_hollow(size_t index) {
    static const int points[] = {6, 4, 8, 12, 10};
    return points[index % (sizeof points / sizeof points[0])];
}

void script_add_titles(text_buffer *out, int height, const char *title, const char *subtitle) {
    script_label first = {.x = 20, .y = 24, .text = title, .longest = 84, .more = "font ',15'"};
    script_label second = {.x = 20, .y = 46, .text = subtitle, .longest = 108, .colour = "faint"};
    script_add_label(out, height, &first);
    script_add_label(out, height, &second);
}

static void add_symbol(text_buffer *out, int height, const script_entry *entry, double x,
                       double y) {
    size_t series = (size_t)entry->series;
    y = 1 - y / height;
    if (entry->kind == SCRIPT_DASHES) {
        text_add(
            out,
            "set arrow from screen %.6f,%.6f to screen %.6f,%.6f nohead lw 1.5 dt (8,6) lc rgb "
            "faint front\n",
            (x - 11) / PLOT_WIDTH, y, (x + 9) / PLOT_WIDTH, y);
        return;
    }
    if (entry->kind == SCRIPT_MARK) {
        text_add(out,
                 "set arrow from screen %.6f,%.6f to screen %.6f,%.6f nohead lw 2.5 lc rgb ink "
                 "front\n",
                 x / PLOT_WIDTH, y - 6.0 / height, x / PLOT_WIDTH, y + 6.0 / height);
        return;
    }
    text_add(out, "set label '' at screen %.6f,%.6f front point ", x / PLOT_WIDTH, y);
    if (entry->kind == SCRIPT_CROSS)
        text_add(out, "pt 2 ps 1.2 lw 2 lc rgb faint\n");
    else if (entry->kind == SCRIPT_HOLLOW)
        text_add(out, "pt %d ps 1.2 lw 1.5 lc rgb faint\n", script_hollow(series));
    else if (entry->kind == SCRIPT_SQUARE)
        text_add(out, "pt 5 ps 1.6 lc rgb series%d\n", script_series(series));
    else
        text_add(out, "pt %d ps 1.2 lc rgb series%d\n", script_point(series),
                 script_series(series));
}

void script_add_legend(text_buffer *out, int height, const script_entry *entries, size_t count,
                       int columns) {
    int top = height - script_legend_height(count, columns);
    double width = (double)(PLOT_WIDTH - LEGEND_LEFT) / columns;
    for (size_t index = 0; index < count; index++) {
        double x = LEGEND_LEFT + width * (double)(index % (size_t)columns);
        double y = top + LEGEND_ROW * ((double)(index / (size_t)columns) + 0.5);
        add_symbol(out, height, &entries[index], x, y);
        script_label label = {.x = x + 16,
                              .y = y,
                              .text = entries[index].name,
                              .longest = (size_t)((width - 20) / 7.4)};
        script_add_label(out, height, &label);
    }
}

double script_step(double range, int most) {
    double power = pow(10, floor(log10(range / most)));
    static const double steps[] = {1, 2, 5, 10};
    for (int index = 0; index < 4; index++)
        if (range <= steps[index] * power * most * (1 + 1e-9))
            return steps[index] * power;
    return 10 * power;
}
