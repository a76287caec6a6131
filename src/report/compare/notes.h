/* What a reader of a speedup must know beside it: the notes of a row. */
#ifndef LOCKSTEP_REPORT_COMPARE_NOTES_H
#define LOCKSTEP_REPORT_COMPARE_NOTES_H

#include "base/text_buffer.h"
#include "report/compare/comparison.h"

/* A configuration is called noisy where its repeats' training times spread over more than this part
 * of their median. */
#define NOISY_SPREAD 0.10

/* An efficiency above this is called impossible, whatever its interval. */
#define MOST_EFFICIENCY 1.05

enum { MOST_NOTES = 8 };

typedef struct row_notes {
    text_buffer list[MOST_NOTES];
    size_t count;
} row_notes;

/* Of `row` of the table; NULL: of its baseline. */
void row_notes_make(row_notes *out, const comparison *table, const compared *row);
void row_notes_free(row_notes *self);

bool is_noisy(const configuration *self);

/* One sentence on the machine's drift, as the baseline's repeats show it; nothing where they are
 * fewer than three. */
void add_drift(text_buffer *out, const configuration *baseline);
/* The interval does not hold 0. */
bool is_drifting(interval an_hour);

/* Footnotes of a table: the same text has the same number. */
typedef struct footnotes {
    char **list; /* [count], owned */
    size_t count;
} footnotes;

/* Its number, from 1; 0 without memory. */
size_t footnote(footnotes *self, const char *text);
/* " [1][3]": the numbers of a row's notes. */
void add_marks(text_buffer *out, footnotes *notes, const row_notes *row);
/* An empty line before each. */
void add_footnotes(text_buffer *out, const footnotes *self);
void footnotes_free(footnotes *self);

#endif
