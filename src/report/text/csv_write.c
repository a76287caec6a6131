#include "report/text/csv.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

void csv_quote(text_buffer *out, const char *value) {
    if (!strpbrk(value, ",\"\r\n")) {
        text_add_bytes(out, value, strlen(value));
        return;
    }
    text_add_bytes(out, "\"", 1);
    for (const char *at = value; *at; at++)
        text_add_bytes(out, *at == '"' ? "\"\"" : at, *at == '"' ? 2 : 1);
    text_add_bytes(out, "\"", 1);
}

void csv_put_text(csv_row *self, const char *column, const char *value) {
    if (self->names.length) {
        text_add_bytes(&self->names, ",", 1);
        text_add_bytes(&self->values, ",", 1);
    }
    csv_quote(&self->names, column);
    csv_quote(&self->values, value);
}

void csv_put_integer(csv_row *self, const char *column, int64_t value) {
    char text[32];
    format_plain(text, sizeof text, "%" PRId64, value);
    csv_put_text(self, column, text);
}

void csv_put_number(csv_row *self, const char *column, double value) {
    char text[32] = "";
    if (!isnan(value))
        format_plain(text, sizeof text, "%.9g", value);
    csv_put_text(self, column, text);
}

void csv_row_free(csv_row *self) {
    text_free(&self->names);
    text_free(&self->values);
}
