/* The header's JSON. */
#include "safetensors/header.h"
#include "safetensors/json.h"

#include <stdlib.h>
#include <string.h>

typedef struct parser {
    const char *path;
    int64_t data_bytes;
    safetensors_header *header;
    ls_error *error;
} parser;

static int refuse(const parser *self, const char *name, const char *what) {
    return ls_fail(self->error, LS_BAD_INPUT, "%s: %.200s: %s", self->path, json_show(name).text,
                   what);
}

static int parse_type(const parser *self, const json_t *entry, safetensors_tensor *out) {
    const char *name = json_string_value(json_object_get(entry, "dtype"));
    if (!name)
        return refuse(self, out->name, "expected a \"dtype\" that is a text");
    int type = safetensors_type_of(name);
    if (type < 0)
        return ls_fail(self->error, LS_BAD_INPUT, "%s: %.200s: unknown type '%.40s'", self->path,
                       json_show(out->name).text, json_show(name).text);
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
                       self->path, json_show(out->name).text, (long long)end,
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
    *out = (safetensors_header){0};
    json_t *root = json_parse(path, "the header", text, length, memory_bytes, error);
    int status = root ? parse_all(&self, root) : LS_BAD_INPUT;
    json_decref(root);
    if (status != LS_OK)
        safetensors_header_free(out);
    return status;
}
