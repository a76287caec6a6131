#include "report/run/header_line.h"

#include <stdlib.h>
#include <string.h>

enum { LONGEST_NAME = 64 };

/* What a text is being made from. */
typedef struct filling {
    const run_facts *facts;
    text_buffer out;
    bool one;  /* the last value was 1 */
    bool drop; /* the brackets that are open are to be left out */
} filling;

static void add_value(text_buffer *out, const run_facts *facts, const column *self) {
    const void *const parts[SUMMARY_PARTS] = {[PART_FACTS] = facts};
    text_buffer exact = {0};
    column_add(&exact, &summary_columns, self, parts);
    out->failed |= exact.failed;
    if (self->type == COLUMN_REAL && exact.length)
        text_add(out, "%g", *(const double *)(const void *)((const char *)facts + self->offset));
    else if (exact.length)
        text_add_bytes(out, exact.bytes, exact.length);
    text_free(&exact);
}

static bool holds(const text_buffer *value) {
    return value->length && strcmp(value->bytes, "0") != 0 && strcmp(value->bytes, "none") != 0;
}

/* What stands between braces; a name that no fact has is a mistake in the table: it is shown. */
static void fill_name(filling *self, const char *name) {
    bool condition = name[0] == '?';
    const column *found = column_find(&summary_columns, name + condition);
    text_buffer value = {0};
    if (strcmp(name, "s") == 0) {
        text_add(&self->out, "%s", self->one ? "" : "s");
        return;
    }
    if (found && found->part == PART_FACTS)
        add_value(&value, self->facts, found);
    else
        text_add(&value, "{%s}", name);
    self->out.failed |= value.failed;
    self->drop |= condition ? !holds(&value) : value.length == 0;
    if (!condition && value.length) {
        self->one = strcmp(value.bytes, "1") == 0;
        text_add_bytes(&self->out, value.bytes, value.length);
    }
    text_free(&value);
}

static void fill(filling *self, const char *text) {
    size_t opened = 0;
    for (; *text; text++) {
        char name[LONGEST_NAME];
        size_t length = strcspn(text, "}");
        if (*text == '[') {
            opened = self->out.length;
            self->drop = false;
        } else if (*text == ']') {
            if (self->drop && self->out.bytes)
                self->out.bytes[self->out.length = opened] = '\0';
        } else if (*text == '{' && text[length] && length < sizeof name) {
            format_plain(name, sizeof name, "%.*s", (int)length - 1, text + 1);
            fill_name(self, name);
            text += length;
        } else {
            text_add_bytes(&self->out, text, 1);
        }
    }
}

void header_line_add(text_buffer *out, const run_facts *facts, const column *lead) {
    filling self = {.facts = facts};
    if (lead->line)
        fill(&self, lead->line);
    else
        add_value(&self.out, facts, lead);
    if (self.out.length)
        text_add(out, "%-15s%s\n", lead->label, self.out.bytes);
    out->failed |= self.out.failed;
    text_free(&self.out);
}
