/* The Markdown that this program writes, and no more of it, turned into other forms: tables, a
 * heading where a line begins with two stars, lists, notes ("[1] ..."), paragraphs. */
#ifndef LOCKSTEP_REPORT_TEXT_MARKDOWN_H
#define LOCKSTEP_REPORT_TEXT_MARKDOWN_H

#include "base/text_buffer.h"

#include <stdbool.h>
#include <stddef.h>

typedef enum {
    MARKDOWN_NOTHING,
    MARKDOWN_PARAGRAPH,
    MARKDOWN_NOTE,
    MARKDOWN_LIST,
    MARKDOWN_TABLE
} markdown_block;

/* A table's columns: what its rule ("|---|---:|") says of them. */
typedef struct markdown_columns {
    const char *rule, *end; /* the line; empty where there is none */
    const char *heading;    /* that the table stands below; NULL: none. Not escaped */
    size_t heading_length;
} markdown_columns;
size_t markdown_column_count(const markdown_columns *self);
/* Of numbers: aligned right. */
bool markdown_is_right(const markdown_columns *self, size_t column);

/* How a form writes each piece. Every text goes through `escape`. */
typedef struct markdown_form {
    void (*escape)(text_buffer *out, const char *text);
    const char *heading[2], *code[2], *item[2]; /* what stands before and after */
    /* Of a block; `columns` of a table, else NULL. */
    void (*open)(text_buffer *out, markdown_block kind, const markdown_columns *columns);
    void (*close)(text_buffer *out, markdown_block kind);
    /* Around a row (`title`: the one with the columns' names) and around a cell. */
    void (*row)(text_buffer *out, bool title, bool ends);
    void (*cell)(text_buffer *out, const markdown_columns *columns, size_t column, bool title,
                 bool ends);
} markdown_form;

void markdown_write(text_buffer *out, const markdown_form *form, const char *markdown);

#endif
