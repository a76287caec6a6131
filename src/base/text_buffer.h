/* A string that grows. Numbers are formatted with a point whatever the locale says, so that a CSV
 * file written anywhere can be read anywhere. */
#ifndef LOCKSTEP_BASE_TEXT_BUFFER_H
#define LOCKSTEP_BASE_TEXT_BUFFER_H

#include "base/error.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

typedef struct text_buffer {
    char *bytes; /* NULL while empty, else NUL-terminated */
    size_t length, capacity;
    bool failed; /* no memory: additions from then on are dropped (text_buffer_check) */
} text_buffer;

void text_add(text_buffer *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
void text_add_list(text_buffer *self, const char *format, va_list values);
/* Quoted, as JSON has it. */
void text_add_json(text_buffer *self, const char *text);
void text_add_bytes(text_buffer *self, const char *bytes, size_t length);

/* LS_FAILED where an addition was dropped. */
int text_buffer_check(const text_buffer *self, ls_error *error);

void text_free(text_buffer *self);

/* snprintf and strtod with a point as the decimal separator. */
void format_plain(char *out, size_t capacity, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
double parse_plain(const char *text, char **end);

#endif
