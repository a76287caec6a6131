#include "report/page/html.h"

#include "report/page/html_parts.h"
#include "report/picture/plot_svg.h"
#include "report/text/markdown.h"

void html_open_scroll(text_buffer *out, const char *name) {
    text_add(out, "<div class=\"wide\" role=\"region\" tabindex=\"0\" aria-label=\"");
    plot_escape(out, name);
    text_add(out, "\">");
}

/* A table is named by the heading that it stands below: a region that scrolls sideways must be
 * reachable by the keyboard, and have a name. */
static void open_block(text_buffer *out, markdown_block kind, const markdown_columns *columns) {
    static const char *const starts[] = {[MARKDOWN_PARAGRAPH] = "<p>",
                                         [MARKDOWN_NOTE] = "<p class=\"note\">",
                                         [MARKDOWN_LIST] = "<ul>\n"};
    if (kind != MARKDOWN_TABLE) {
        text_add(out, "%s", starts[kind]);
        return;
    }
    text_buffer name = {0};
    text_add_bytes(&name, columns->heading ? columns->heading : "Table",
                   columns->heading ? columns->heading_length : sizeof "Table" - 1);
    html_open_scroll(out, name.bytes ? name.bytes : "Table");
    out->failed |= name.failed;
    text_free(&name);
    text_add(out, "<table><thead>");
}

static void close_block(text_buffer *out, markdown_block kind) {
    static const char *const ends[] = {[MARKDOWN_PARAGRAPH] = "</p>\n",
                                       [MARKDOWN_NOTE] = "</p>\n",
                                       [MARKDOWN_LIST] = "</ul>\n",
                                       [MARKDOWN_TABLE] = "</tbody></table></div>\n"};
    text_add(out, "%s", ends[kind]);
}

static void row(text_buffer *out, bool title, bool ends) {
    text_add(out, "%s", !ends ? "<tr>" : title ? "</tr>\n</thead><tbody>\n" : "</tr>\n");
}

/* The first cell of a row names it. */
static void cell(text_buffer *out, const markdown_columns *columns, size_t column, bool title,
                 bool ends) {
    const char *tag = title || column == 0 ? "th" : "td";
    const char *scope = title ? " scope=\"col\"" : column == 0 ? " scope=\"row\"" : "";
    if (ends)
        text_add(out, "</%s>", tag);
    else
        text_add(out, "<%s%s%s>", tag, scope,
                 markdown_is_right(columns, column) ? " class=\"number\"" : "");
}

void html_tables(text_buffer *out, const char *markdown) {
    static const markdown_form form = {.escape = plot_escape,
                                       .heading = {"<h2>", "</h2>\n"},
                                       .code = {"<code>", "</code>"},
                                       .item = {"<li>", "</li>\n"},
                                       .open = open_block,
                                       .close = close_block,
                                       .row = row,
                                       .cell = cell};
    markdown_write(out, &form, markdown);
}
