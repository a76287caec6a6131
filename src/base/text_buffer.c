#include "base/text_buffer.h"

#include "base/utf8.h"

#include <locale.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The "C" locale, made once; where that fails the process's own locale is as good a guess. */
static locale_t plain_locale(void) {
    static locale_t plain;
    if (plain == (locale_t)0)
        plain = newlocale(LC_ALL_MASK, "C", (locale_t)0);
    return plain;
}

static int format_list(char *out, size_t capacity, const char *format, va_list values) {
    locale_t plain = plain_locale();
    locale_t before = plain == (locale_t)0 ? plain : uselocale(plain);
    int length = vsnprintf(out, capacity, format, values);
    if (before != (locale_t)0)
        uselocale(before);
    return length;
}

void format_plain(char *out, size_t capacity, const char *format, ...) {
    va_list values;
    va_start(values, format);
    format_list(out, capacity, format, values);
    va_end(values);
}

double parse_plain(const char *text, char **end) {
    locale_t plain = plain_locale();
    return plain == (locale_t)0 ? strtod(text, end) : strtod_l(text, end, plain);
}

/* Room for `more` bytes and the terminator. */
static bool reserve(text_buffer *self, size_t more) {
    if (self->failed)
        return false;
    size_t needed = self->length + more + 1;
    if (needed <= self->capacity)
        return true;
    size_t capacity = self->capacity * 2 > needed ? self->capacity * 2 : needed + 256;
    char *bytes = realloc(self->bytes, capacity);
    if (!bytes) {
        self->failed = true;
        return false;
    }
    self->bytes = bytes;
    self->capacity = capacity;
    return true;
}

void text_add_bytes(text_buffer *self, const char *bytes, size_t length) {
    if (!reserve(self, length))
        return;
    if (length)
        memcpy(self->bytes + self->length, bytes, length);
    self->length += length;
    self->bytes[self->length] = '\0';
}

void text_add_list(text_buffer *self, const char *format, va_list values) {
    va_list again;
    va_copy(again, values);
    int length = format_list(NULL, 0, format, values);
    if (length >= 0 && reserve(self, (size_t)length)) {
        format_list(self->bytes + self->length, (size_t)length + 1, format, again);
        self->length += (size_t)length;
    }
    va_end(again);
}

void text_add(text_buffer *self, const char *format, ...) {
    va_list values;
    va_start(values, format);
    text_add_list(self, format, values);
    va_end(values);
}

void text_add_json(text_buffer *self, const char *text) {
    text_add_bytes(self, "\"", 1);
    for (size_t length; *text; text += length ? length : 1) {
        length = utf8_character(text);
        if (length == 0) /* a path of another encoding: JSON is UTF-8 */
            text_add(self, "\\ufffd");
        else if (length > 1)
            text_add_bytes(self, text, length);
        else if ((unsigned char)*text < 0x20)
            text_add(self, "\\u%04x", *text);
        else
            text_add(self, *text == '"' || *text == '\\' ? "\\%c" : "%c", *text);
    }
    text_add_bytes(self, "\"", 1);
}

int text_buffer_check(const text_buffer *self, ls_error *error) {
    return self->failed ? ls_fail(error, LS_FAILED, "no memory for the report's text") : LS_OK;
}

void text_free(text_buffer *self) {
    free(self->bytes);
    *self = (text_buffer){0};
}
