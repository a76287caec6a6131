#include "report/page/html_parts.h"

#include "report/picture/plot_svg.h"

#include <stdlib.h>
#include <string.h>

typedef enum { NOTHING, PARAGRAPH, NOTE, LIST, TABLE } block;

typedef struct writer {
    text_buffer *out;
    block open;
    bool right[64]; /* a table's columns with numbers */
} writer;

static void close_block(writer *self) {
    static const char *const ends[] = {[NOTHING] = "",
                                       [PARAGRAPH] = "</p>\n",
                                       [NOTE] = "</p>\n",
                                       [LIST] = "</ul>\n",
                                       [TABLE] = "</tbody></table></div>\n"};
    text_add(self->out, "%s", ends[self->open]);
    self->open = NOTHING;
}

/* True where it was not open. */
static bool open_block(writer *self, block kind, const char *start) {
    if (self->open == kind)
        return false;
    close_block(self);
    text_add(self->out, "%s", start);
    self->open = kind;
    return true;
}

/* Escaped. "`x`" is code. */
static void add_words(text_buffer *out, char *text) {
    for (char *open = text; (open = strchr(open, '`'));) {
        char *close = strchr(open + 1, '`');
        if (!close)
            break;
        *open = *close = '\0';
        plot_escape(out, text);
        text_add(out, "<code>");
        plot_escape(out, open + 1);
        text_add(out, "</code>");
        text = open = close + 1;
    }
    plot_escape(out, text);
}

/* `length` bytes of text; a bar that a table's cell escapes is a bar. */
static void add_text(text_buffer *out, const char *text, size_t length, bool cell) {
    char *copy = malloc(length + 1);
    size_t used = 0;
    if (!copy) {
        out->failed = true;
        return;
    }
    for (size_t index = 0; index < length; index++)
        if (!cell || text[index] != '\\' || index + 1 == length || text[index + 1] != '|')
            copy[used++] = text[index];
    copy[used] = '\0';
    add_words(out, copy);
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

/* "|---|---:|": below the titles. */
static bool is_rule(const char *line, size_t length) {
    return strspn(line, "|-:") >= length;
}

static void read_rule(writer *self, const char *line, const char *end) {
    const char *text;
    size_t length, column = 0;
    for (const char *at = line + 1; (at = next_cell(at, end, &text, &length)) && column < 64;)
        self->right[column++] = length > 0 && text[length - 1] == ':';
}

static void add_row(writer *self, const char *line, const char *end, const char *tag) {
    const char *text;
    size_t length, column = 0;
    text_add(self->out, "<tr>");
    for (const char *at = line + 1; (at = next_cell(at, end, &text, &length)); column++) {
        bool right = column < 64 && self->right[column];
        text_add(self->out, "<%s%s>", tag, right ? " class=\"number\"" : "");
        add_text(self->out, text, length, true);
        text_add(self->out, "</%s>", tag);
    }
    text_add(self->out, "</tr>\n");
}

/* Titles come first, and their rule, which the titles need, stands in the line after them. */
static void add_table_line(writer *self, const char *line, const char *end) {
    if (self->open == TABLE) {
        if (!is_rule(line, (size_t)(end - line)))
            add_row(self, line, end, "td");
        return;
    }
    const char *rule = *end ? end + 1 : end;
    memset(self->right, 0, sizeof self->right);
    if (*rule == '|')
        read_rule(self, rule, rule + strcspn(rule, "\n"));
    open_block(self, TABLE, "<div class=\"wide\"><table><thead>");
    add_row(self, line, end, "th");
    text_add(self->out, "</thead><tbody>\n");
}

/* "**Strong scaling**: the rest". */
static void add_heading(writer *self, const char *line, const char *end) {
    const char *stop = strstr(line + 2, "**");
    close_block(self);
    text_add(self->out, "<h2>");
    if (stop && stop < end) {
        add_text(self->out, line + 2, (size_t)(stop - line - 2), false);
        add_text(self->out, stop + 2, (size_t)(end - stop - 2), false);
    } else {
        add_text(self->out, line, (size_t)(end - line), false);
    }
    text_add(self->out, "</h2>\n");
}

static void add_line(writer *self, const char *line, const char *end) {
    if (line == end) {
        close_block(self);
    } else if (*line == '|') {
        add_table_line(self, line, end);
    } else if (strncmp(line, "**", 2) == 0) {
        add_heading(self, line, end);
    } else if (strncmp(line, "- ", 2) == 0) {
        open_block(self, LIST, "<ul>\n");
        text_add(self->out, "<li>");
        add_text(self->out, line + 2, (size_t)(end - line - 2), false);
        text_add(self->out, "</li>\n");
    } else {
        block kind = *line == '[' ? NOTE : PARAGRAPH;
        if (!open_block(self, kind, kind == NOTE ? "<p class=\"note\">" : "<p>"))
            text_add(self->out, "\n");
        add_text(self->out, line, (size_t)(end - line), false);
    }
}

void html_markdown(text_buffer *out, const char *markdown) {
    writer self = {.out = out};
    for (const char *line = markdown; *line;) {
        const char *end = line + strcspn(line, "\n");
        add_line(&self, line, end);
        line = *end ? end + 1 : end;
    }
    close_block(&self);
}
