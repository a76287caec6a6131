#include "data/pack_notes.h"

#include "base/utf8.h"

#include <string.h>

static void add_escaped(text_buffer *out, const char *text) {
    while (*text) {
        size_t length = utf8_character(text);
        unsigned char byte = (unsigned char)*text;
        if (length == 0 || byte < 0x20 || byte == 0x7F || byte == '\\') {
            text_add(out, "\\x%02X", byte);
            length = 1;
        } else {
            text_add_bytes(out, text, length);
        }
        text += length;
    }
}

void note_add(text_buffer *out, const char *path, const char *text) {
    size_t length = strlen(path);
    /* Errors have '?' for control characters: the path is told by its length. */
    if (strlen(text) > length + 2 && text[length] == ':' && text[length + 1] == ' ')
        text += length + 2;
    add_escaped(out, path);
    text_add(out, "\t");
    add_escaped(out, text);
    text_add(out, "\n");
}
