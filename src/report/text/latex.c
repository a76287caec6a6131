#include "report/text/latex.h"

#include "report/text/markdown.h"

#include <string.h>

/* What LaTeX would take for a command. "--" would be a dash, so the two are kept apart. */
static const char *escaped(char byte, char before) {
    switch (byte) {
    case '\\':
        return "\\textbackslash{}";
    case '~':
        return "\\textasciitilde{}";
    case '^':
        return "\\textasciicircum{}";
    case '<':
        return "\\textless{}";
    case '>':
        return "\\textgreater{}";
    case '|':
        return "\\textbar{}";
    case '"':
        return "\\textquotedbl{}";
    case '`':
        return "\\textasciigrave{}";
    case '&':
        return "\\&";
    case '%':
        return "\\%";
    case '$':
        return "\\$";
    case '#':
        return "\\#";
    case '_':
        return "\\_";
    case '{':
        return "\\{";
    case '}':
        return "\\}";
    case '-':
        return before == '-' ? "{}-" : NULL;
    default:
        return (unsigned char)byte < 0x20 || byte == 0x7f ? "?" : NULL;
    }
}

static void escape(text_buffer *out, const char *text) {
    for (char before = 0; *text; before = *text++) {
        const char *better = escaped(*text, before);
        text_add_bytes(out, better ? better : text, better ? strlen(better) : 1);
    }
}

/* Numbers as one column after the other; nothing between the table's edge and its first text. */
static void open_table(text_buffer *out, const markdown_columns *columns) {
    size_t count = markdown_column_count(columns);
    text_add(out, "\\begin{center}\n"
                  "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%%\n"
                  "\\begin{tabular}{@{}");
    for (size_t column = 0; column < count; column++)
        text_add(out, "%s", markdown_is_right(columns, column) ? "r" : "l");
    text_add(out, "@{}}\n\\toprule\n");
}

static void open_block(text_buffer *out, markdown_block kind, const markdown_columns *columns) {
    static const char *const starts[] = {[MARKDOWN_PARAGRAPH] = "\\noindent ",
                                         [MARKDOWN_NOTE] = "\\noindent{\\footnotesize ",
                                         [MARKDOWN_LIST] = "\\begin{itemize}\n"};
    if (kind == MARKDOWN_TABLE)
        open_table(out, columns);
    else
        text_add(out, "%s", starts[kind]);
}

static void close_block(text_buffer *out, markdown_block kind) {
    static const char *const ends[] = {[MARKDOWN_PARAGRAPH] = "\n\n",
                                       [MARKDOWN_NOTE] = "\\par}\n\n",
                                       [MARKDOWN_LIST] = "\\end{itemize}\n\n",
                                       [MARKDOWN_TABLE] =
                                           "\\bottomrule\n\\end{tabular}}\n\\end{center}\n\n"};
    text_add(out, "%s", ends[kind]);
}

/* A row that began with a bracket would be the line break's argument. */
static void row(text_buffer *out, bool title, bool ends) {
    text_add(out, "%s", !ends ? "{}" : title ? " \\\\\n\\midrule\n" : " \\\\\n");
}

static void cell(text_buffer *out, const markdown_columns *columns, size_t column, bool title,
                 bool ends) {
    (void)columns;
    (void)title;
    text_add(out, "%s", column > 0 && !ends ? " & " : "");
}

void latex_write(text_buffer *out, const char *markdown) {
    static const markdown_form form = {.escape = escape,
                                       .heading = {"\\paragraph{", "}\n\n"},
                                       .code = {"\\texttt{", "}"},
                                       .item = {"\\item ", "\n"},
                                       .open = open_block,
                                       .close = close_block,
                                       .row = row,
                                       .cell = cell};
    text_add(out, "%% \\usepackage{booktabs,graphicx}\\usepackage[T1]{fontenc}\n");
    markdown_write(out, &form, markdown);
}
