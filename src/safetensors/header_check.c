/* What the tensors of a header must be to each other and to the file. */
#include "safetensors/header.h"

#include <stdlib.h>
#include <string.h>

/* Of one place, the empty one comes first. */
static int by_place(const void *left, const void *right) {
    const safetensors_tensor *a = left, *b = right;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->bytes != b->bytes)
        return a->bytes < b->bytes ? -1 : 1;
    return strcmp(a->name, b->name);
}

static int check_size(const char *path, safetensors_tensor *tensor, ls_error *error) {
    int64_t given = tensor->bytes;
    if (safetensors_measure(tensor) != LS_OK)
        return ls_fail(error, LS_BAD_INPUT, "%s: %.200s: its shape has more elements than can be",
                       path, tensor->name);
    if (given != tensor->bytes)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: %.200s: %lld elements of %s take %lld bytes, its offsets say %lld",
                       path, tensor->name, (long long)tensor->elements,
                       safetensors_type_name(tensor->type), (long long)tensor->bytes,
                       (long long)given);
    return LS_OK;
}

int safetensors_check(const char *path, safetensors_header *self, int64_t data_bytes,
                      ls_error *error) {
    int64_t end = 0;
    for (int index = 0; index < self->count; index++)
        LS_TRY(check_size(path, &self->tensors[index], error));
    if (self->count > 1)
        qsort(self->tensors, (size_t)self->count, sizeof *self->tensors, by_place);
    for (int index = 0; index < self->count; index++) {
        const safetensors_tensor *tensor = &self->tensors[index];
        if (tensor->first != end)
            return ls_fail(
                error, LS_BAD_INPUT, "%s: %.200s begins at byte %lld, %s (expected %lld)", path,
                tensor->name, (long long)tensor->first,
                tensor->first < end ? "inside the tensor before it" : "behind bytes of no tensor",
                (long long)end);
        end = tensor->first + tensor->bytes; /* both are at most data_bytes */
    }
    if (end != data_bytes)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: the header's tensors end at byte %lld, the file has %lld behind its "
                       "header",
                       path, (long long)end, (long long)data_bytes);
    return LS_OK;
}

void safetensors_header_free(safetensors_header *self) {
    for (int index = 0; index < self->count; index++)
        free((void *)self->tensors[index].name);
    for (int index = 0; index < self->about_count; index++) {
        free((void *)self->about[index].name);
        free((void *)self->about[index].text);
    }
    free(self->tensors);
    free(self->about);
    *self = (safetensors_header){0};
}
