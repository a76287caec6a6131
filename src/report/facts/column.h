/* A column of a file that a run leaves behind: where its value lies, how it is written, what a
 * report demands of it, how runs are compared by it, and what it means. Writing and reading the
 * files, comparing runs, the run's header and results/COLUMNS.md are made from tables of these. */
#ifndef LOCKSTEP_REPORT_FACTS_COLUMN_H
#define LOCKSTEP_REPORT_FACTS_COLUMN_H

#include "base/text_buffer.h"

#include <stdbool.h>
#include <stddef.h>

/* How the value lies in its record. */
typedef enum {
    COLUMN_TEXT,  /* const char *; NULL is "" */
    COLUMN_ID,    /* char[] */
    COLUMN_LIST,  /* text_buffer */
    COLUMN_INT,   /* int */
    COLUMN_INT64, /* int64_t */
    COLUMN_FLAG,  /* bool: 1 or 0 */
    COLUMN_REAL   /* double: nine digits; NAN is "": not measured */
} column_type;

typedef enum {
    SHOWN_PLAIN,
    SHOWN_POSITIVE, /* "" where it is 0 or less: there is none, or it is not known */
    SHOWN_WHOLE,    /* a REAL without its decimals, all digits before them */
    SHOWN_FINITE    /* "" where it is infinite: too fast to be measured */
} column_show;

/* What `lockstep report` demands. A file of an older version may lack what it does not demand. */
typedef enum {
    NEEDS_NOTHING,
    NEEDS_TEXT,     /* the column */
    NEEDS_NAME,     /* text that is not empty */
    NEEDS_COUNT,    /* a whole number above 0 */
    NEEDS_WHOLE,    /* any whole number */
    NEEDS_POSITIVE, /* a number above 0 */
    NEEDS_AMOUNT,   /* a number, 0 or more */
    NEEDS_MEASURED  /* a number, or empty where it was not measured */
} column_need;

/* How runs are compared by it. */
typedef enum {
    COMPARED_NOT,     /* what chance decides, or follows from others */
    COMPARED_PART,    /* part of what a configuration is: runs that differ in it are no repeats, but
                         stand in one table */
    COMPARED_EXACTLY, /* runs of one table have one value */
    COMPARED_SET,     /* a value a rank: the same ones, however often */
    COMPARED_SET_ON_HOST, /* as a set, where the host's threads do the computing */
    COMPARED_VERSIONS,    /* "Name version, Name version": what both name has one version */
    /* These may differ between the repeats of a configuration: */
    COMPARED_SEEDS,      /* all repeats together have the same ones */
    COMPARED_ALL_OR_NONE /* clocks were held back in all runs or in none */
} column_comparison;

typedef struct column {
    const char *name;
    column_type type;
    int part;      /* which of the record's structs it lies in */
    size_t offset; /* in that */
    size_t room;   /* bytes of an ID that is read back; 0: no matter */
    column_show show;
    bool hidden;           /* not in the file: the header alone has it */
    const char *with;      /* "" where that column is; NULL */
    const char *otherwise; /* what stands for ""; NULL: nothing */
    const char *unit;      /* NULL: none */
    column_need need;
    column_comparison compared;
    const char *allow;   /* the names of which one lets it differ (--allow): "a|b" */
    const char *called;  /* for the line that says what differs */
    const char *before;  /* what a summary of an older version, without the column, stands for;
                            NULL: "" */
    const char *label;   /* of the line in the header that it leads; NULL: it leads none */
    const char *line;    /* that line (header_line.h); NULL: the value */
    const char *meaning; /* Markdown, for results/COLUMNS.md */
} column;

typedef struct column_table {
    const char *file;      /* "summary.csv" */
    const char *about;     /* Markdown: what a row is */
    const column *columns; /* [count], in the file's order */
    size_t count;
} column_table;

/* The value as the file has it, not quoted. `parts`: the structs of one record, by column.part. */
void column_add(text_buffer *out, const column_table *table, const column *self,
                const void *const parts[]);
/* NULL where the table has none of that name. */
const column *column_find(const column_table *self, const char *name);

/* "a,b,c\n" */
void column_table_names(text_buffer *out, const column_table *self);
/* One row of the file, with its line break, quoted where it must be (text/csv.h). */
void column_table_row(text_buffer *out, const column_table *self, const void *const parts[]);

/* The other way: a value as the file has it into its place; "" is 0, and NAN where it was not
 * measured. Of numbers and flags, and of an ID that has room, to which it is cut: false where the
 * text is none of these. */
bool column_parse(const column *self, const char *text, void *const parts[]);

/* Whether a value that was read is what is demanded. */
bool column_fits(column_need need, const char *text);
/* "a whole number above 0" */
const char *column_expected(column_need need);

#endif
