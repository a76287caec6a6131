#include "safetensors/index.h"
#include "safetensors/json_parts.h"

#include <stdlib.h>
#include <string.h>

struct safetensors_index {
    json_file *file;
    json_t *map; /* tensor -> file, of those that are not checked; the file's */
};

/* No folder, nothing hidden: an index is a stranger's, and may name files of its own folder alone.
 */
static bool is_file_name(const json_t *value) {
    static const char end[] = ".safetensors";
    const char *name = json_string_value(value);
    size_t length = name ? strlen(name) : 0;
    return length > sizeof end - 1 && length < 256 && name[0] != '.' && !strchr(name, '/') &&
           strcmp(name + length - (sizeof end - 1), end) == 0;
}

static int check_names(const safetensors_index *self, ls_error *error) {
    const char *name;
    json_t *value;
    if (!json_is_object(self->map) || json_object_size(self->map) == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a \"weight_map\" that is an object of tensors and files",
                       self->file->path);
    json_object_foreach(self->map, name, value) {
        const char *found = json_is_string(value) ? json_string_value(value) : "no text";
        if (!is_file_name(value))
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: %.200s: expected the name of a .safetensors file in the same "
                           "folder, found '%.200s'",
                           self->file->path, json_show(name).text, json_show(found).text);
    }
    return LS_OK;
}

int safetensors_index_open(const char *path, safetensors_index **out, ls_error *error) {
    safetensors_index *self = calloc(1, sizeof *self);
    int status = self ? json_file_open(path, &self->file, error)
                      : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK) {
        self->map = json_object_get(self->file->root, "weight_map");
        status = check_names(self, error);
    }
    if (status == LS_OK)
        *out = self;
    else
        safetensors_index_close(self);
    return status;
}

void safetensors_index_close(safetensors_index *self) {
    if (!self)
        return;
    json_file_close(self->file);
    free(self);
}

const char *safetensors_index_next(const safetensors_index *self) {
    void *first = json_object_iter(self->map);
    return first ? json_string_value(json_object_iter_value(first)) : NULL;
}

/* What is left of a file once all of its tensors were taken out: the index alone has it. */
static int check_rest(const safetensors_index *self, const char *file, ls_error *error) {
    const char *name;
    json_t *value;
    json_object_foreach(self->map, name, value) {
        if (strcmp(json_string_value(value), file) == 0)
            return ls_fail(error, LS_BAD_INPUT, "%s: %.200s is not in %s, where it is said to be",
                           self->file->path, json_show(name).text, file);
    }
    return LS_OK;
}

int safetensors_index_check(safetensors_index *self, const char *name, const safetensors *file,
                            ls_error *error) {
    for (int index = 0; index < safetensors_count(file); index++) {
        const char *tensor = safetensors_at(file, index)->name;
        const char *said = json_string_value(json_object_get(self->map, tensor));
        if (!said || strcmp(said, name) != 0)
            return ls_fail(error, LS_BAD_INPUT, "%s: %.200s is in %s, and is said to be in %s",
                           self->file->path, json_show(tensor).text, name,
                           said ? said : "no file, or in another too");
        json_object_del(self->map, tensor);
    }
    return check_rest(self, name, error);
}
