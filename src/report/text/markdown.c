#include "report/text/markdown.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

typedef struct writer {
    text_buffer *out;
    const markdown_form *form;
    markdown_block open;
    markdown_columns columns; /* of the table that is open */
} writer;

static void close_block(writer *self) {
    if (self->open != MARKDOWN_NOTHING)
        self->form->close(self->out, self->open);
    self->open = MARKDOWN_NOTHING;
}

/* True where it was not open. */
static bool open_block(writer *self, markdown_block kind) {
    if (self->open == kind)
        return false;
    close_block(self);
    self->form->open(self->out, kind, kind == MARKDOWN_TABLE ? &self->columns : NULL);
    self->open = kind;
    return true;
}

/* "`x`" is code. */
static void add_words(writer *self, char *text) {
    const markdown_form *form = self->form;
    for (char *open = text; (open = strchr(open, '`'));) {
        char *close = strchr(open + 1, '`');
        if (!close)
            break;
        *open = *close = '\0';
        form->escape(self->out, text);
        text_add(self->out, "%s", form->code[0]);
        form->escape(self->out, open + 1);
        text_add(self->out, "%s", form->code[1]);
        text = open = close + 1;
    }
    form->escape(self->out, text);
}

/* `length` bytes of text; a bar that a table's cell escapes is a bar. */
static void add_text(writer *self, const char *text, size_t length, bool cell) {
    char *copy = malloc(length + 1);
    size_t used = 0;
    if (!copy) {
        self->out->failed = true;
        return;
    }
    for (size_t index = 0; index < length; index++)
        if (!cell || text[index] != '\\' || index + 1 == length || text[index + 1] != '|')
            copy[used++] = text[index];
    copy[used] = '\0';
    add_words(self, copy);
    free(copy);
}

/* The next cell of a row: from after a bar up to the next one that is not escaped, trimmed. */
static const char *next_cell(const char *at, const char *end, const char **text, size_t *length) {
    const char *stop = at;
    while (stop < end && (*stop != '|' || stop[-1] == '\\'))
        stop++;
    if (stop == end)
        return NULL;
    while (at < stop && *at == ' ')
        at++;
    *text = at;
    const char *last = stop;
    while (last > at && last[-1] == ' ')
        last--;
    *length = (size_t)(last - at);
    return stop + 1;
}

/* The cells of the rule up to `column`: how many there are of them, the last one's text. */
static size_t read_rule(const markdown_columns *self, size_t column, const char **text,
                        size_t *length) {
    size_t count = 0;
    const char *at = self->rule < self->end ? self->rule + 1 : NULL;
    while (at && count <= column && (at = next_cell(at, self->end, text, length)))
        count++;
    return count;
}

size_t markdown_column_count(const markdown_columns *self) {
    const char *text;
    size_t length;
    return read_rule(self, SIZE_MAX - 1, &text, &length);
}

bool markdown_is_right(const markdown_columns *self, size_t column) {
    const char *text = "";
    size_t length = 0;
    return read_rule(self, column, &text, &length) == column + 1 && length > 0 &&
           text[length - 1] == ':';
}

static void add_row(writer *self, const char *line, const char *end, bool title) {
    const markdown_form *form = self->form;
    const char *text;
    size_t length, column = 0;
    form->row(self->out, title, false);
    for (const char *at = line + 1; (at = next_cell(at, end, &text, &length)); column++) {
        form->cell(self->out, &self->columns, column, title, false);
        add_text(self, text, length, true);
        form->cell(self->out, &self->columns, column, title, true);
    }
    form->row(self->out, title, true);
}

/* "|---|---:|": below the titles. */
static bool is_rule(const char *line, size_t length) {
    return strspn(line, "|-:") >= length;
}

/* Titles come first, and their rule, which the titles need, stands in the line after them. */
static void add_table_line(writer *self, const char *line, const char *end) {
    if (self->open == MARKDOWN_TABLE) {
        if (!is_rule(line, (size_t)(end - line)))
            add_row(self, line, end, false);
        return;
    }
    const char *rule = *end ? end + 1 : end;
    self->columns.rule = self->columns.end = rule;
    if (*rule == '|')
        self->columns.end = rule + strcspn(rule, "\n");
    open_block(self, MARKDOWN_TABLE);
    add_row(self, line, end, true);
}

/* "**Strong scaling**: the rest". */
static void add_heading(writer *self, const char *line, const char *end) {
    const char *stop = strstr(line + 2, "**");
    close_block(self);
    text_add(self->out, "%s", self->form->heading[0]);
    if (stop && stop < end) {
        self->columns.heading = line + 2;
        self->columns.heading_length = (size_t)(stop - line - 2);
        add_text(self, line + 2, (size_t)(stop - line - 2), false);
        add_text(self, stop + 2, (size_t)(end - stop - 2), false);
    } else {
        add_text(self, line, (size_t)(end - line), false);
    }
    text_add(self->out, "%s", self->form->heading[1]);
}

static void add_line(writer *self, const char *line, const char *end) {
    if (line == end) {
        close_block(self);
    } else if (*line == '|') {
        add_table_line(self, line, end);
    } else if (strncmp(line, "**", 2) == 0) {
        add_heading(self, line, end);
    } else if (strncmp(line, "- ", 2) == 0) {
        open_block(self, MARKDOWN_LIST);
        text_add(self->out, "%s", self->form->item[0]);
        add_text(self, line + 2, (size_t)(end - line - 2), false);
        text_add(self->out, "%s", self->form->item[1]);
    } else {
        if (!open_block(self, *line == '[' ? MARKDOWN_NOTE : MARKDOWN_PARAGRAPH))
            text_add(self->out, "\n");
        add_text(self, line, (size_t)(end - line), false);
    }
}

void markdown_write(text_buffer *out, const markdown_form *form, const char *markdown) {
    writer self = {.out = out, .form = form};
    for (const char *line = markdown; *line;) {
        const char *end = line + strcspn(line, "\n");
        add_line(&self, line, end);
        line = *end ? end + 1 : end;
    }
    close_block(&self);
}
