#include "checkpoint/record.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static record_value *place_for(record *self, const char *name) {
    for (int index = 0; index < self->count; index++)
        if (strcmp(self->values[index].name, name) == 0) {
            free(self->values[index].of.memory);
            self->values[index].of.memory = NULL;
            return &self->values[index];
        }
    if (self->count == self->capacity) {
        int capacity = self->capacity ? 2 * self->capacity : 32;
        record_value *larger = realloc(self->values, (size_t)capacity * sizeof *larger);
        if (!larger)
            return NULL;
        self->values = larger;
        self->capacity = capacity;
    }
    record_value *made = &self->values[self->count++];
    *made = (record_value){0};
    snprintf(made->name, sizeof made->name, "%s", name);
    return made;
}

/* `bytes` of `values`, with room for a terminator. */
static void put(record *self, const char *name, record_kind kind, const void *values, int64_t count,
                size_t bytes) {
    record_value *place = place_for(self, name);
    void *memory = place ? malloc(bytes + 1) : NULL;
    if (!memory) {
        self->count -= place == self->values + self->count - 1;
        self->failed = true;
        return;
    }
    if (bytes > 0)
        memcpy(memory, values, bytes);
    ((char *)memory)[bytes] = '\0';
    place->kind = kind;
    place->count = count;
    place->of.memory = memory;
}

void record_put_integers(record *self, const char *name, const int64_t *values, int64_t count) {
    put(self, name, RECORD_INTEGERS, values, count, (size_t)count * sizeof *values);
}

void record_put_reals(record *self, const char *name, const double *values, int64_t count) {
    put(self, name, RECORD_REALS, values, count, (size_t)count * sizeof *values);
}

void record_put_text(record *self, const char *name, const char *text) {
    size_t length = text ? strlen(text) : 0;
    put(self, name, RECORD_TEXT, text, (int64_t)length, length);
}

void record_put_integer(record *self, const char *name, int64_t value) {
    record_put_integers(self, name, &value, 1);
}

void record_put_real(record *self, const char *name, double value) {
    record_put_reals(self, name, &value, 1);
}

int record_check(const record *self, ls_error *error) {
    return self->failed ? ls_fail(error, LS_FAILED, "out of memory for a checkpoint's values")
                        : LS_OK;
}

void record_free(record *self) {
    for (int index = 0; index < self->count; index++)
        free(self->values[index].of.memory);
    free(self->values);
    *self = (record){0};
}

const record_value *record_find(const record *self, const char *name) {
    for (int index = 0; index < self->count; index++)
        if (strcmp(self->values[index].name, name) == 0)
            return &self->values[index];
    return NULL;
}

static int get(const record *self, const char *where, const char *name, record_kind kind,
               const record_value **out, ls_error *error) {
    static const char *const words[] = {"whole numbers", "numbers", "a text"};
    *out = record_find(self, name);
    if (*out && (*out)->kind == kind)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected %s, found %s", where, name, words[kind],
                   *out ? words[(*out)->kind] : "nothing");
}

int record_get_integers(const record *self, const char *where, const char *name,
                        const int64_t **out, int64_t *count, ls_error *error) {
    const record_value *found;
    LS_TRY(get(self, where, name, RECORD_INTEGERS, &found, error));
    *out = found->of.integers;
    *count = found->count;
    return LS_OK;
}

int record_get_reals(const record *self, const char *where, const char *name, const double **out,
                     int64_t *count, ls_error *error) {
    const record_value *found;
    LS_TRY(get(self, where, name, RECORD_REALS, &found, error));
    *out = found->of.reals;
    *count = found->count;
    return LS_OK;
}

int record_get_text(const record *self, const char *where, const char *name, const char **out,
                    ls_error *error) {
    const record_value *found;
    LS_TRY(get(self, where, name, RECORD_TEXT, &found, error));
    *out = found->of.text;
    return LS_OK;
}

static int expect_one(const char *where, const char *name, int64_t count, ls_error *error) {
    if (count == 1)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT, "%s: %s: expected one value, found %" PRId64, where, name,
                   count);
}

int record_get_integer(const record *self, const char *where, const char *name, int64_t minimum,
                       int64_t maximum, int64_t *out, ls_error *error) {
    const int64_t *values;
    int64_t count;
    LS_TRY(record_get_integers(self, where, name, &values, &count, error));
    LS_TRY(expect_one(where, name, count, error));
    *out = values[0];
    if (*out >= minimum && *out <= maximum)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: %s: expected %" PRId64 " to %" PRId64 ", found %" PRId64, where, name,
                   minimum, maximum, *out);
}

int record_get_real(const record *self, const char *where, const char *name, double *out,
                    ls_error *error) {
    const double *values;
    int64_t count;
    LS_TRY(record_get_reals(self, where, name, &values, &count, error));
    LS_TRY(expect_one(where, name, count, error));
    *out = values[0];
    return LS_OK;
}
