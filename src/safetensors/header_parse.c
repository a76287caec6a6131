/* The header's JSON, by jansson, which checks syntax, UTF-8, depth, the range of integers and names
 * that stand twice. */
#include "base/utf8.h"
#include "safetensors/header.h"

#include <jansson.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

/* jansson's memory while a header is parsed: what its values take is many times their text, and the
 * text is a stranger's. (Its allocator is one of the process: this room is all that uses it.) */
static _Thread_local size_t memory_left;

static void *take(size_t bytes) {
    if (bytes > memory_left)
        return NULL;
    void *memory = malloc(bytes);
    if (!memory)
        return NULL;
    size_t usable = malloc_usable_size(memory);
    memory_left -= usable < memory_left ? usable : memory_left;
    return memory;
}

static void give_back(void *memory) {
    memory_left += memory ? malloc_usable_size(memory) : 0;
    free(memory);
}

typedef struct parser {
    const char *path;
    int64_t data_bytes;
    safetensors_header *header;
    ls_error *error;
} parser;

/* A name as a line may show it. */
typedef struct shown {
    char text[256];
} shown;

static shown show(const char *name) {
    shown out;
    utf8_escape(name, out.text, sizeof out.text);
    return out;
}

static int refuse(const parser *self, const char *name, const char *what) {
    return ls_fail(self->error, LS_BAD_INPUT, "%s: %.200s: %s", self->path, show(name).text, what);
}

static int parse_type(const parser *self, const json_t *entry, safetensors_tensor *out) {
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (!name)
        return refuse(self, out->name, "expected a \"dtype\" that is a text");
    int type = safetensors_type_of(name);
    if (type < 0)
        return ls_fail(self->error, LS_BAD_INPUT, "%s: %.200s: unknown type '%.40s'", self->path,
                       show(out->name).text, show(name).text);
    out->type = (safetensors_type)type;
    return LS_OK;
}

/* A number from 0 on; -1: it is none. */
static int64_t natural(const json_t *value) {
    return json_is_integer(value) && json_integer_value(value) >= 0
               ? (int64_t)json_integer_value(value)
               : -1;
}

static int parse_shape(const parser *self, const json_t *entry, safetensors_tensor *out) {
    const json_t *shape = json_object_get(entry, "shape");
    if (!json_is_array(shape))
        return refuse(self, out->name, "expected a \"shape\" that is a list");
    if (json_array_size(shape) > SAFETENSORS_DIMS)
        return refuse(self, out->name, "its shape has more than 8 dimensions");
    out->dim_count = (int)json_array_size(shape);
    for (int dim = 0; dim < out->dim_count; dim++) {
        out->dims[dim] = natural(json_array_get(shape, (size_t)dim));
        if (out->dims[dim] < 0)
            return refuse(self, out->name, "expected a shape of integers from 0 on");
    }
    return LS_OK;
}

static int parse_offsets(const parser *self, const json_t *entry, safetensors_tensor *out) {
    const json_t *offsets = json_object_get(entry, "data_offsets");
    if (!json_is_array(offsets) || json_array_size(offsets) != 2)
        return refuse(self, out->name, "expected \"data_offsets\" that are two integers");
    int64_t first = natural(json_array_get(offsets, 0)), end = natural(json_array_get(offsets, 1));
    if (first < 0 || end < first)
        return refuse(self, out->name, "its data_offsets are no range");
    if (end > self->data_bytes)
        return ls_fail(self->error, LS_BAD_INPUT,
                       "%s: %.200s ends at byte %lld of the tensors' bytes, of which the file has "
                       "%lld",
                       self->path, show(out->name).text, (long long)end,
                       (long long)self->data_bytes);
    out->first = first;
    out->bytes = end - first;
    return LS_OK;
}

static int parse_tensor(parser *self, const char *name, const json_t *entry) {
    safetensors_tensor *out = &self->header->tensors[self->header->count];
    if (!json_is_object(entry) || json_object_size(entry) != 3)
        return refuse(self, name, "expected an object of \"dtype\", \"shape\", \"data_offsets\"");
    out->name = strdup(name);
    if (!out->name)
        return ls_fail(self->error, LS_FAILED, "out of memory");
    self->header->count++;
    LS_TRY(parse_type(self, entry, out));
    LS_TRY(parse_shape(self, entry, out));
    return parse_offsets(self, entry, out);
}

static int parse_about(parser *self, json_t *texts) {
    safetensors_header *header = self->header;
    const char *name;
    json_t *value;
    if (!json_is_object(texts))
        return refuse(self, "__metadata__", "expected an object of texts");
    header->about = calloc(json_object_size(texts) + 1, sizeof *header->about);
    if (!header->about)
        return ls_fail(self->error, LS_FAILED, "out of memory");
    json_object_foreach(texts, name, value) {
        if (!json_is_string(value))
            return refuse(self, "__metadata__", "expected an object of texts");
        safetensors_text *out = &header->about[header->about_count++];
        *out = (safetensors_text){strdup(name), strdup(json_string_value(value))};
        if (!out->name || !out->text)
            return ls_fail(self->error, LS_FAILED, "out of memory");
    }
    return LS_OK;
}

static int parse_all(parser *self, json_t *root) {
    const char *name;
    json_t *value;
    if (!json_is_object(root))
        return ls_fail(self->error, LS_BAD_INPUT, "%s: the header is no JSON object", self->path);
    self->header->tensors = calloc(json_object_size(root) + 1, sizeof *self->header->tensors);
    if (!self->header->tensors)
        return ls_fail(self->error, LS_FAILED, "out of memory");
    json_object_foreach(root, name, value)
        LS_TRY(strcmp(name, "__metadata__") == 0 ? parse_about(self, value)
                                                 : parse_tensor(self, name, value));
    return safetensors_check(self->path, self->header, self->data_bytes, self->error);
}

int safetensors_parse(const char *path, const char *text, size_t length, int64_t data_bytes,
                      size_t memory_bytes, safetensors_header *out, ls_error *error) {
    parser self = {path, data_bytes, out, error};
    json_error_t found = {0};
    *out = (safetensors_header){0};
    memory_left = memory_bytes;
    json_set_alloc_funcs(take, give_back);
    json_t *root = json_loadb(text, length, JSON_REJECT_DUPLICATES, &found);
    int status = LS_OK;
    if (root)
        status = parse_all(&self, root);
    else if (!found.text[0]) /* it has no text for memory that it did not get */
        status = ls_fail(error, LS_BAD_INPUT,
                         "%s: its header wants more memory than the file has bytes", path);
    else
        status = ls_fail(error, LS_BAD_INPUT, "%s: the header's JSON, byte %d: %.120s", path,
                         found.position, show(found.text).text);
    json_decref(root);
    if (status != LS_OK)
        safetensors_header_free(out);
    return status;
}
