/* Scripts of gnuplot, piece by piece. A script is the same for every kind of file: it names the
 * colours (`ink`, `series1`, ...) and counts in pixels of a picture PLOT_WIDTH wide. */
#ifndef LOCKSTEP_REPORT_PICTURE_PLOT_SCRIPT_H
#define LOCKSTEP_REPORT_PICTURE_PLOT_SCRIPT_H

#include "base/text_buffer.h"

#include <stdbool.h>
#include <stddef.h>

#define PLOT_WIDTH 800

typedef enum { PLOT_SVG, PLOT_PNG_LIGHT, PLOT_PNG_DARK } plot_format;

/* Terminal, colours and what all pictures share. */
void script_begin(text_buffer *out, plot_format format, int height);

/* 'text' as gnuplot takes it without looking into it: no command substitution, no escapes, no
 * markup; cut to `longest` characters. */
void script_quote(text_buffer *out, const char *text, size_t longest);

/* A text whose left (or right) middle is at (x, y), pixels from the top left corner. */
typedef struct script_label {
    double x, y;
    const char *text;
    size_t longest;     /* characters; 0: 100 */
    const char *colour; /* NULL: ink */
    const char *more;   /* options of gnuplot's: "right", "font ',16'"; NULL: none */
} script_label;
void script_add_label(text_buffer *out, int height, const script_label *label);

/* Where the area between the axes lies, pixels from the edges. */
typedef struct script_area {
    double left, right, top, bottom;
} script_area;
void script_set_area(text_buffer *out, int height, const script_area *area);

/* Two lines at the top left. */
void script_add_titles(text_buffer *out, int height, const char *title, const char *subtitle);

/* What the vertical axis shows, left of its numbers. */
void script_add_ylabel(text_buffer *out, int height, const script_area *area, const char *text);

/* A legend below the picture: entries in columns, row by row. */
typedef enum {
    SCRIPT_POINT,
    SCRIPT_SQUARE,
    SCRIPT_CROSS,
    SCRIPT_DASHES,
    SCRIPT_MARK,
    SCRIPT_HOLLOW
} script_symbol;
typedef struct script_entry {
    const char *name;
    int series; /* of the palette, and its point; crosses, dashes and what is hollow are faint, a
                   mark is ink */
    script_symbol kind;
} script_entry;
int script_legend_height(size_t count, int columns);
void script_add_legend(text_buffer *out, int height, const script_entry *entries, size_t count,
                       int columns);

/* The palette's series and gnuplot's point of the index-th series; more than there are begin
 * again with other points. */
int script_series(size_t index);
int script_point(size_t index);
/* One of those that are empty inside. */
int script_hollow(size_t index);

/* A step of 1, 2 or 5 times a power of ten that cuts `range` into at most `most` pieces. */
double script_step(double range, int most);

#endif
