/* A picture of a report: its name, what it shows, and a script of gnuplot for each kind of file. */
#ifndef LOCKSTEP_REPORT_PICTURE_PICTURE_H
#define LOCKSTEP_REPORT_PICTURE_PICTURE_H

#include "base/error.h"
#include "base/text_buffer.h"
#include "report/picture/plot_script.h"

#include <stddef.h>

enum { PLOT_FORMATS = 3 };

typedef struct picture {
    char name[32];                     /* "speedup-strong": of its file, without the ending */
    text_buffer title;                 /* what it shows, in words */
    text_buffer scripts[PLOT_FORMATS]; /* by plot_format */
} picture;

typedef struct picture_list {
    picture *items; /* [count], owned */
    size_t count;
} picture_list;

/* NULL without memory (*error says so). */
picture *pictures_add(picture_list *self, const char *name, ls_error *error);
void pictures_free(picture_list *self);

#endif
