#include "report/compare/sameness.h"

#include "report/facts/facts.h"
#include "report/read/allow.h"

#include <stdlib.h>
#include <string.h>

/* Whether the first name of "a|b" is the first `length` bytes of `name`. */
static bool leads(const char *names, const char *name, size_t length) {
    return strcspn(names, "|") == length && strncmp(names, name, length) == 0;
}

const column *sameness_next(sameness_cursor *self) {
    while (ALLOW_NAMES[self->name]) {
        const char *name = &ALLOW_NAMES[self->name];
        size_t length = strcspn(name, ",");
        while (self->column < summary_columns.count) {
            const column *rule = &summary_columns.columns[self->column++];
            if (rule->allow && leads(rule->allow, name, length))
                return rule;
        }
        self->name += length + strspn(name + length, ", ");
        self->column = 0;
    }
    return NULL;
}

static bool is_on_host(const finished_run *run) {
    return strcmp(finished_run_text(run, "device"), "cuda") != 0;
}

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

enum { LARGEST_SET = 4096 };

/* "b;a;b" as "a;b". Ranks beyond LARGEST_SET stay unsorted: never merged, so never called equal
 * by mistake. */
void sameness_add_set(text_buffer *out, const char *list) {
    char *copy = strdup(list);
    char **values = copy ? calloc(LARGEST_SET, sizeof *values) : NULL;
    out->failed |= !values;
    size_t count = 0;
    char *rest = copy;
    while (values && rest && count < LARGEST_SET - 1)
        values[count++] = strsep(&rest, ";");
    if (values)
        qsort(values, count, sizeof *values, by_text);
    for (size_t index = 0; values && index < count; index++)
        if (index == 0 || strcmp(values[index], values[index - 1]) != 0)
            text_add(out, "%s%s", index ? ";" : "", values[index]);
    if (rest)
        text_add(out, ";%s", rest);
    free(values);
    free(copy);
}

void sameness_add_value(text_buffer *out, const finished_run *run, const column *rule) {
    const char *value = csv_get(&run->summary, 0, rule->name);
    if (!value)
        value = rule->before ? rule->before : "";
    if (rule->compared == COMPARED_SET_ON_HOST && !is_on_host(run))
        value = "";
    if (rule->compared == COMPARED_SET || rule->compared == COMPARED_SET_ON_HOST)
        sameness_add_set(out, value);
    else
        text_add(out, "%s", value);
}

/* The part of "Name 1.2, Other 3.4" that begins at `list` and ends before the comma. */
static size_t entry_length(const char *list) {
    const char *comma = strstr(list, ", ");
    return comma ? (size_t)(comma - list) : strlen(list);
}

/* The length of an entry's name: all but its last word. */
static size_t name_length(const char *entry, size_t length) {
    while (length > 0 && entry[length - 1] != ' ')
        length--;
    return length;
}

/* A run that was started alone has no MPI to name: only libraries that both used can differ. */
static bool same_versions(const char *a, const char *b) {
    for (; *a; a += entry_length(a), a += *a ? 2 : 0) {
        size_t length_a = entry_length(a), name = name_length(a, length_a);
        for (const char *at = b; *at; at += entry_length(at), at += *at ? 2 : 0) {
            size_t length_b = entry_length(at);
            bool same_name =
                name > 0 && name_length(at, length_b) == name && memcmp(a, at, name) == 0;
            if (same_name && (length_a != length_b || memcmp(a, at, length_a) != 0))
                return false;
        }
    }
    return true;
}

bool sameness_agrees(const column *rule, const char *a, const char *b) {
    return rule->compared == COMPARED_VERSIONS ? same_versions(a, b) : strcmp(a, b) == 0;
}

/* Its repeats may differ in it. */
static bool varies(const column *rule) {
    return rule->compared == COMPARED_SEEDS || rule->compared == COMPARED_ALL_OR_NONE;
}

void sameness_add_key(text_buffer *out, const finished_run *run) {
    const column *rule;
    for (sameness_cursor at = {0}; (rule = sameness_next(&at));) {
        if (!varies(rule))
            sameness_add_value(out, run, rule);
        text_add(out, "\x1f");
    }
}

void sameness_add_traits(text_buffer *out, const finished_run *run, const finished_run *other) {
    const column *rule;
    for (sameness_cursor at = {0}; (rule = sameness_next(&at));) {
        text_buffer a = {0}, b = {0};
        sameness_add_value(&a, run, rule);
        sameness_add_value(&b, other, rule);
        out->failed |= a.failed || b.failed;
        if (!out->failed && !varies(rule) && !sameness_agrees(rule, a.bytes, b.bytes))
            text_add(out, "; %s %s", rule->called, a.bytes[0] ? a.bytes : "-");
        text_free(&a);
        text_free(&b);
    }
}
