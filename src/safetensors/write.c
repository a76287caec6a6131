/* A file that is being written. */
#include "base/atomic_file.h"
#include "base/text_buffer.h"
#include "safetensors/header.h"

#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 8 }; /* of the tensors' bytes in the file, as the package has it */

struct safetensors_writer {
    atomic_file file;
    FILE *stream;
    int64_t left; /* bytes that are to come */
};

static void add_about(text_buffer *out, const safetensors_text *about, int count) {
    text_add(out, "\"__metadata__\":{");
    for (int index = 0; index < count; index++) {
        text_add(out, index ? "," : "");
        text_add_json(out, about[index].name);
        text_add(out, ":");
        text_add_json(out, about[index].text);
    }
    text_add(out, "}");
}

static void add_tensor(text_buffer *out, const safetensors_tensor *tensor) {
    text_add_json(out, tensor->name);
    text_add(out, ":{\"dtype\":\"%s\",\"shape\":[", safetensors_type_name(tensor->type));
    for (int dim = 0; dim < tensor->dim_count; dim++)
        text_add(out, "%s%lld", dim ? "," : "", (long long)tensor->dims[dim]);
    text_add(out, "],\"data_offsets\":[%lld,%lld]}", (long long)tensor->first,
             (long long)(tensor->first + tensor->bytes));
}

/* The header's text, and how many bytes follow it. */
static int make_header(const safetensors_tensor *tensors, int count, const safetensors_text *about,
                       int about_count, text_buffer *out, int64_t *data_bytes, ls_error *error) {
    *data_bytes = 0;
    text_add(out, "{");
    if (about_count > 0)
        add_about(out, about, about_count);
    for (int index = 0; index < count; index++) {
        safetensors_tensor tensor = tensors[index];
        tensor.first = *data_bytes;
        if (safetensors_measure(&tensor) != LS_OK ||
            __builtin_add_overflow(*data_bytes, tensor.bytes, data_bytes))
            return ls_fail(error, LS_FAILED, "%s: too many elements", tensor.name);
        text_add(out, index || about_count > 0 ? "," : "");
        add_tensor(out, &tensor);
    }
    text_add(out, "}");
    while (out->length % ALIGNMENT != 0 && !out->failed)
        text_add(out, " ");
    return text_buffer_check(out, error);
}

static int put(safetensors_writer *self, const void *bytes, size_t count, ls_error *error) {
    if (fwrite(bytes, 1, count, self->stream) != count)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->file.path);
    return LS_OK;
}

static int begin(safetensors_writer *self, const char *path, const text_buffer *header,
                 ls_error *error) {
    uint64_t length = htole64((uint64_t)header->length);
    LS_TRY(atomic_file_begin(&self->file, path, error));
    self->stream = fopen(self->file.temporary, "wxe");
    if (!self->stream)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot create", path);
    LS_TRY(put(self, &length, sizeof length, error));
    return put(self, header->bytes, header->length, error);
}

int safetensors_create(const char *path, const safetensors_tensor *tensors, int count,
                       const safetensors_text *about, int about_count, safetensors_writer **out,
                       ls_error *error) {
    text_buffer header = {0};
    safetensors_writer *self = calloc(1, sizeof *self);
    int status = self ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = make_header(tensors, count, about, about_count, &header, &self->left, error);
    if (status == LS_OK)
        status = begin(self, path, &header, error);
    text_free(&header);
    if (status == LS_OK)
        *out = self;
    else
        safetensors_give_up(self);
    return status;
}

int safetensors_put(safetensors_writer *self, const void *bytes, size_t count, ls_error *error) {
    if ((int64_t)count > self->left)
        return ls_fail(error, LS_FAILED, "%s: more bytes than its tensors have", self->file.path);
    self->left -= (int64_t)count;
    return put(self, bytes, count, error);
}

int safetensors_finish(safetensors_writer *self, ls_error *error) {
    int status = LS_OK;
    FILE *stream = self->stream;
    if (self->left != 0)
        status = ls_fail(error, LS_FAILED, "%s: %lld bytes of its tensors did not come",
                         self->file.path, (long long)self->left);
    self->stream = NULL;
    if (fclose(stream) != 0 && status == LS_OK)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->file.path);
    if (status == LS_OK)
        status = atomic_file_commit(&self->file, error);
    safetensors_give_up(self);
    return status;
}

void safetensors_give_up(safetensors_writer *self) {
    if (!self)
        return;
    if (self->stream)
        fclose(self->stream);
    atomic_file_discard(&self->file);
    free(self);
}
