/* The colours of pictures, for light and for dark surroundings. Series are Okabe and Ito's palette
 * ("Color Universal Design", 2008), which people with any colour vision can tell apart, made darker
 * or lighter where a hue has too little contrast with the background. */
#ifndef LOCKSTEP_REPORT_PICTURE_PLOT_PALETTE_H
#define LOCKSTEP_REPORT_PICTURE_PLOT_PALETTE_H

#include <stddef.h>

typedef enum {
    PLOT_BACKGROUND,
    PLOT_INK,   /* text */
    PLOT_FAINT, /* axes, what is no measurement */
    PLOT_GRID,
    PLOT_SERIES, /* the first of PLOT_SERIES_COUNT */
    PLOT_SERIES_COUNT = 8,
    PLOT_COLOURS = PLOT_SERIES + PLOT_SERIES_COUNT
} plot_colour;

typedef struct plot_tone {
    const char *name;         /* of the variable in a script of gnuplot */
    const char *light, *dark; /* "#rrggbb", lower case; no two of one kind are equal */
} plot_tone;

extern const plot_tone plot_palette[PLOT_COLOURS];

#endif
