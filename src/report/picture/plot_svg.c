#include "report/picture/plot_svg.h"

#include "report/picture/plot_palette.h"

#include <stdio.h>
#include <string.h>

/* Bytes of the UTF-8 character at `text`; 0 where it is none (RFC 3629; NUL-terminated). */
static size_t character_length(const unsigned char *text) {
    size_t length = text[0] < 0x80                       ? 1
                    : text[0] >= 0xc2 && text[0] <= 0xdf ? 2
                    : text[0] >= 0xe0 && text[0] <= 0xef ? 3
                    : text[0] >= 0xf0 && text[0] <= 0xf4 ? 4
                                                         : 0;
    for (size_t index = 1; index < length; index++)
        if ((text[index] & 0xc0) != 0x80)
            return 0;
    bool overlong = (text[0] == 0xe0 && text[1] < 0xa0) || (text[0] == 0xf0 && text[1] < 0x90);
    bool beyond = (text[0] == 0xed && text[1] > 0x9f) || (text[0] == 0xf4 && text[1] > 0x8f);
    return overlong || beyond ? 0 : length;
}

static const char *entity(char character) {
    switch (character) {
    case '&':
        return "&amp;";
    case '<':
        return "&lt;";
    case '>':
        return "&gt;";
    case '"':
        return "&quot;";
    case '\'':
        return "&#39;";
    default:
        return NULL;
    }
}

void plot_escape(text_buffer *out, const char *text) {
    while (*text) {
        size_t length = character_length((const unsigned char *)text);
        const char *escaped = entity(*text);
        bool control = length == 0 || (unsigned char)*text < 0x20 || *text == 0x7f;
        if (escaped)
            text_add(out, "%s", escaped);
        else if (control && *text != '\n')
            text_add(out, "?");
        else
            text_add_bytes(out, text, length);
        text += length ? length : 1;
    }
}

static void add_style(text_buffer *out) {
    static const char *const painted[] = {"fill", "stroke", "color"};
    text_add(out, "<style>\ntext, tspan { font-family: system-ui, 'Segoe UI', Roboto, Helvetica, "
                  "Arial, sans-serif }\n@media (prefers-color-scheme: dark) {\n");
    for (int colour = 0; colour < PLOT_COLOURS; colour++)
        for (int index = 0; index < 3; index++)
            text_add(out, "[%s=\"%s\"] { %s: %s }\n", painted[index], plot_palette[colour].light,
                     painted[index], plot_palette[colour].dark);
    text_add(out, "}\n</style>\n");
}

/* "rgb(  0, 114, 178)" as "#0072b2". Returns the bytes that were taken; 0: it was none. */
static size_t add_colour(text_buffer *out, const char *text) {
    int red, green, blue, length = 0;
    if (strncmp(text, "rgb(", 4) != 0 ||
        sscanf(text, "rgb( %d , %d , %d )%n", &red, &green, &blue, &length) != 3 || length == 0)
        return 0;
    text_add(out, "#%02x%02x%02x", (unsigned)red & 255, (unsigned)green & 255,
             (unsigned)blue & 255);
    return (size_t)length;
}

/* Inside a tag: one piece of it. Returns the bytes that were taken. */
static size_t add_piece(text_buffer *out, const char *text, const char *name) {
    static const char *const before_names[] = {" id='", " id=\"", "href='#", "href=\"#"};
    for (int index = 0; index < 4; index++) {
        size_t length = strlen(before_names[index]);
        if (strncmp(text, before_names[index], length) == 0) {
            text_add(out, "%s%s-", before_names[index], name);
            return length;
        }
    }
    if (strncmp(text, "#FFFFFF", 7) == 0) {
        text_add(out, "#ffffff");
        return 7;
    }
    size_t length = add_colour(out, text);
    if (length == 0)
        text_add_bytes(out, text, length = 1);
    return length;
}

static void add_body(text_buffer *out, const char *text, const char *name) {
    bool inside = false;
    while (*text) {
        inside = *text == '<' || (inside && *text != '>');
        if (inside) {
            text += add_piece(out, text, name);
        } else {
            size_t length = strcspn(text + 1, "<") + 1;
            text_add_bytes(out, text, length);
            text += length;
        }
    }
}

int plot_svg_finish(text_buffer *out, const text_buffer *svg, const char *name, const char *title,
                    ls_error *error) {
    static const char expected[] = "<title>Gnuplot</title>";
    const char *start = svg->bytes ? strstr(svg->bytes, "<svg") : NULL;
    const char *heading = start ? strstr(start, expected) : NULL;
    const char *end = heading ? strstr(heading, "</svg>") : NULL;
    if (!end)
        return ls_fail(error, LS_FAILED, "gnuplot wrote no whole SVG for the picture '%s'", name);
    text_add(out, "<svg role=\"img\"");
    text_add_bytes(out, start + 4, (size_t)(heading - start - 4));
    text_add(out, "<title>");
    plot_escape(out, title);
    text_add(out, "</title>\n");
    add_style(out);
    add_body(out, heading + sizeof expected - 1, name);
    return text_buffer_check(out, error);
}
