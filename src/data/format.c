#include "data/format.h"

#include "base/utf8.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const split_names[SPLITS] = {"train", "test"};
const char *const content_names[CONTENT_KINDS] = {"pixels", "encoded"};

part_form shard_part(const shard_header *header, int index) {
    int64_t images = header->images;
    const image_shape *shape = &header->shape;
    if (index == PART_LABELS)
        return (part_form){"/labels", 4, false, 1, {images}};
    if (header->kind == CONTENT_PIXELS)
        return (part_form){
            "/images", 1, true, 4, {images, shape->height, shape->width, shape->channels}};
    switch (index) {
    case PART_BYTES:
        return (part_form){"/bytes", 1, true, 1, {header->bytes}};
    case PART_OFFSETS:
        return (part_form){"/offsets", 8, false, 1, {images + 1}};
    case PART_SIZES:
        return (part_form){"/sizes", 4, false, 2, {images, 2}};
    default:
        return (part_form){"/crc32c", 4, true, 1, {images}};
    }
}

int64_t part_values(const part_form *form) {
    int64_t values = 1;
    for (int dimension = 0; dimension < form->rank; dimension++)
        if (__builtin_mul_overflow(values, form->extent[dimension], &values) ||
            values > MOST_PART_VALUES)
            return MOST_PART_VALUES;
    return values;
}

static int check_name(const char *name, int index, const char *where, ls_error *error) {
    size_t length = strlen(name);
    if (length == 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: class %d: expected a name, found none", where,
                       index);
    if (length > FORMAT_CLASS_NAME_LIMIT)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: class %d: expected a name of at most %d bytes, found %zu: '%.40s...'",
                       where, index, FORMAT_CLASS_NAME_LIMIT, length, name);
    for (const char *c = name; *c; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return ls_fail(
                error, LS_BAD_INPUT,
                "%s: class %d: expected a name without control characters, found '%.40s'", where,
                index, name);
    return LS_OK;
}

int class_names_set(class_names *self, const char *const *names, int count, const char *where,
                    ls_error *error) {
    *self = (class_names){0};
    if (count < 1 || count > FORMAT_CLASS_LIMIT)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected 1 to %d classes, found %d", where,
                       FORMAT_CLASS_LIMIT, count);
    size_t longest = 0;
    for (int index = 0; index < count; index++) {
        LS_TRY(check_name(names[index], index, where, error));
        size_t length = strlen(names[index]);
        longest = length > longest ? length : longest;
    }
    self->text = calloc((size_t)count, longest + 1);
    if (!self->text)
        return ls_fail(error, LS_FAILED, "%s: out of memory for %d class names", where, count);
    self->count = count;
    self->width = (int)longest + 1;
    for (int index = 0; index < count; index++)
        strcpy(self->text + (size_t)index * (size_t)self->width, names[index]);
    return LS_OK;
}

int class_names_check_utf8(const class_names *self, const char *where, ls_error *error) {
    for (int index = 0; index < self->count; index++) {
        char shown[200];
        if (utf8_valid(class_name(self, index)))
            continue;
        utf8_escape(class_name(self, index), shown, sizeof shown);
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: class %d: expected a name in UTF-8, found '%s': rename it (`convmv -f "
                       "latin1 -t utf-8 --notest` does so with folders, `iconv` with a file)",
                       where, index, shown);
    }
    return LS_OK;
}

int class_names_copy(class_names *to, const class_names *from, ls_error *error) {
    *to = *from;
    size_t bytes = (size_t)from->count * (size_t)from->width;
    to->text = malloc(bytes);
    if (!to->text)
        return ls_fail(error, LS_FAILED, "out of memory for the class names");
    memcpy(to->text, from->text, bytes);
    return LS_OK;
}

int class_names_equal(const class_names *a, const class_names *b) {
    if (a->count != b->count)
        return 0;
    for (int index = 0; index < a->count; index++)
        if (strcmp(class_name(a, index), class_name(b, index)) != 0)
            return 0;
    return 1;
}

void class_names_release(class_names *self) {
    free(self->text);
    *self = (class_names){0};
}

void shard_name(char out[FORMAT_SHARD_NAME_BYTES], const char *split, int index) {
    snprintf(out, FORMAT_SHARD_NAME_BYTES, "%.15s-%05d.h5", split, index);
}

int path_join(char *out, size_t capacity, const char *folder, const char *name, ls_error *error) {
    size_t length = strlen(folder);
    const char *slash = length && folder[length - 1] == '/' ? "" : "/";
    int used = snprintf(out, capacity, "%s%s%s", folder, slash, name);
    if (used < 0 || (size_t)used >= capacity)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is longer than %zu bytes", folder,
                       capacity - 1);
    return LS_OK;
}
