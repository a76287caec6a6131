#include "report/facts/column.h"

#include "report/text/csv.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void add_integer(text_buffer *out, int64_t value, column_show show) {
    if (show != SHOWN_POSITIVE || value > 0)
        text_add(out, "%" PRId64, value);
}

static void add_real(text_buffer *out, double value, column_show show) {
    if (isnan(value) || (show == SHOWN_POSITIVE && value <= 0) ||
        (show == SHOWN_FINITE && isinf(value)))
        return;
    if (show == SHOWN_WHOLE)
        text_add(out, "%" PRId64, (int64_t)llround(value));
    else
        text_add(out, "%.9g", value);
}

static void add_text(text_buffer *out, const char *text) {
    if (text)
        text_add_bytes(out, text, strlen(text));
}

static void add_value(text_buffer *out, const column *self, const void *at) {
    switch (self->type) {
    case COLUMN_TEXT:
        add_text(out, *(const char *const *)at);
        break;
    case COLUMN_ID:
        add_text(out, at);
        break;
    case COLUMN_LIST:
        add_text(out, ((const text_buffer *)at)->bytes);
        out->failed |= ((const text_buffer *)at)->failed;
        break;
    case COLUMN_INT:
        add_integer(out, *(const int *)at, self->show);
        break;
    case COLUMN_INT64:
        add_integer(out, *(const int64_t *)at, self->show);
        break;
    case COLUMN_FLAG:
        add_integer(out, *(const bool *)at, SHOWN_PLAIN);
        break;
    case COLUMN_REAL:
        add_real(out, *(const double *)at, self->show);
        break;
    }
}

static bool is_empty(const column_table *table, const char *name, const void *const parts[]) {
    text_buffer value = {0};
    column_add(&value, table, column_find(table, name), parts);
    bool empty = value.length == 0;
    text_free(&value);
    return empty;
}

void column_add(text_buffer *out, const column_table *table, const column *self,
                const void *const parts[]) {
    size_t before = out->length;
    if (!self->with || !is_empty(table, self->with, parts))
        add_value(out, self, (const char *)parts[self->part] + self->offset);
    if (out->length == before)
        add_text(out, self->otherwise);
}

const column *column_find(const column_table *self, const char *name) {
    for (size_t index = 0; index < self->count; index++)
        if (strcmp(self->columns[index].name, name) == 0)
            return &self->columns[index];
    return NULL;
}

void column_table_names(text_buffer *out, const column_table *self) {
    const char *before = "";
    for (size_t index = 0; index < self->count; index++) {
        if (self->columns[index].hidden)
            continue;
        text_add(out, "%s%s", before, self->columns[index].name);
        before = ",";
    }
    text_add(out, "\n");
}

void column_table_row(text_buffer *out, const column_table *self, const void *const parts[]) {
    text_buffer value = {0};
    const char *before = "";
    for (size_t index = 0; index < self->count; index++) {
        if (self->columns[index].hidden)
            continue;
        value.length = 0;
        text_add(&value, "%s", ""); /* ends it there, and makes room for the first */
        column_add(&value, self, &self->columns[index], parts);
        text_add(out, "%s", before);
        csv_quote(out, value.bytes ? value.bytes : "");
        before = ",";
    }
    text_add(out, "\n");
    out->failed |= value.failed;
    text_free(&value);
}

bool column_parse(const column *self, const char *text, void *const parts[]) {
    void *at = (char *)parts[self->part] + self->offset;
    char *end = NULL;
    bool empty = text[0] == '\0';
    if (self->type == COLUMN_ID && self->room > 0) {
        snprintf(at, self->room, "%s", text);
        return true;
    }
    bool is_real = self->type == COLUMN_REAL;
    errno = 0;
    double real = empty || !is_real ? 0 : parse_plain(text, &end);
    int64_t whole = empty || is_real ? 0 : strtoll(text, &end, 10);
    if (!empty && (end == text || *end != '\0' || (!is_real && errno == ERANGE)))
        return false;
    switch (self->type) {
    case COLUMN_INT:
        *(int *)at = (int)whole;
        return whole == (int)whole;
    case COLUMN_INT64:
        *(int64_t *)at = whole;
        return true;
    case COLUMN_FLAG:
        *(bool *)at = whole != 0;
        return true;
    case COLUMN_REAL:
        *(double *)at = empty && self->show != SHOWN_POSITIVE ? (double)NAN : real;
        return true;
    default:
        return false;
    }
}

bool column_fits(column_need need, const char *text) {
    char *end = NULL;
    double value = parse_plain(text, &end);
    bool numeric = end != text && *end == '\0' && isfinite(value);
    switch (need) {
    case NEEDS_NOTHING:
    case NEEDS_TEXT:
        return true;
    case NEEDS_NAME:
        return text[0] != '\0';
    case NEEDS_COUNT:
        return numeric && value > 0 && value == floor(value);
    case NEEDS_WHOLE:
        return numeric && value == floor(value);
    case NEEDS_POSITIVE:
        return numeric && value > 0;
    case NEEDS_AMOUNT:
        return numeric && value >= 0;
    case NEEDS_MEASURED:
        return numeric || text[0] == '\0';
    }
    return false;
}

const char *column_expected(column_need need) {
    switch (need) {
    case NEEDS_COUNT:
        return "a whole number above 0";
    case NEEDS_WHOLE:
        return "a whole number";
    case NEEDS_POSITIVE:
        return "a number above 0";
    case NEEDS_AMOUNT:
        return "a number, 0 or more";
    case NEEDS_MEASURED:
        return "a number or nothing";
    default:
        return "a value";
    }
}
