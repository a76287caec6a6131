#include "safetensors/set.h"
#include "safetensors/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct safetensors_set {
    safetensors **files; /* [count] */
    int count, capacity;
};

static bool ends_with(const char *text, const char *end) {
    size_t length = strlen(text), wanted = strlen(end);
    return length >= wanted && strcmp(text + length - wanted, end) == 0;
}

static bool is_folder(const char *path) {
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

/* "FOLDER/NAME"; false: it is too long. */
static bool join(char out[4096], const char *folder, const char *name) {
    return snprintf(out, 4096, "%s/%s", folder, name) < 4096;
}

/* The file in a folder, or "". */
static void find_in(const char *folder, char out[4096]) {
    static const char *const names[] = {"model.safetensors", "model.safetensors.index.json"};
    struct stat found;
    for (size_t index = 0; index < sizeof names / sizeof *names; index++)
        if (join(out, folder, names[index]) && stat(out, &found) == 0)
            return;
    out[0] = '\0';
}

bool safetensors_set_is(const char *path) {
    char found[4096];
    if (!is_folder(path))
        return ends_with(path, ".safetensors") || ends_with(path, ".index.json");
    find_in(path, found);
    return found[0] != '\0';
}

static int add_file(safetensors_set *self, const char *path, ls_error *error) {
    if (self->count == self->capacity) {
        int capacity = 2 * self->capacity + 1;
        safetensors **grown = realloc(self->files, (size_t)capacity * sizeof *grown);
        if (!grown)
            return ls_fail(error, LS_FAILED, "out of memory");
        self->files = grown;
        self->capacity = capacity;
    }
    LS_TRY(safetensors_open(path, &self->files[self->count], error));
    self->count++;
    return LS_OK;
}

static int add_listed(safetensors_set *self, const char *folder, safetensors_index *index,
                      ls_error *error) {
    char path[4096], name[256];
    const char *next;
    while ((next = safetensors_index_next(index))) {
        snprintf(name, sizeof name, "%s", next);
        if (!join(path, folder, name))
            return ls_fail(error, LS_BAD_INPUT, "%s: its name is too long", folder);
        LS_TRY(add_file(self, path, error));
        LS_TRY(safetensors_index_check(index, name, self->files[self->count - 1], error));
    }
    return LS_OK;
}

static int add_index(safetensors_set *self, const char *path, ls_error *error) {
    safetensors_index *index = NULL;
    const char *name = strrchr(path, '/');
    char folder[4096] = ".";
    if (name)
        snprintf(folder, sizeof folder, "%.*s", (int)(name - path), path);
    LS_TRY(safetensors_index_open(path, &index, error));
    int status = add_listed(self, name == path ? "/" : folder, index, error);
    safetensors_index_close(index);
    return status;
}

int safetensors_set_open(const char *path, safetensors_set **out, ls_error *error) {
    char found[4096];
    if (is_folder(path)) {
        find_in(path, found);
        if (!found[0])
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: expected model.safetensors or model.safetensors.index.json in it, "
                           "found neither",
                           path);
        path = found;
    }
    safetensors_set *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status =
        ends_with(path, ".json") ? add_index(self, path, error) : add_file(self, path, error);
    if (status == LS_OK)
        *out = self;
    else
        safetensors_set_close(self);
    return status;
}

void safetensors_set_close(safetensors_set *self) {
    if (!self)
        return;
    for (int file = 0; file < self->count; file++)
        safetensors_close(self->files[file]);
    free(self->files);
    free(self);
}

int safetensors_set_count(const safetensors_set *self) {
    int count = 0;
    for (int file = 0; file < self->count; file++)
        count += safetensors_count(self->files[file]);
    return count;
}

const safetensors_tensor *safetensors_set_at(const safetensors_set *self, int index) {
    int file = 0;
    for (; index >= safetensors_count(self->files[file]); file++)
        index -= safetensors_count(self->files[file]);
    return safetensors_at(self->files[file], index);
}

const safetensors_tensor *safetensors_set_find(const safetensors_set *self, const char *name) {
    const safetensors_tensor *found = NULL;
    for (int file = 0; file < self->count && !found; file++)
        found = safetensors_find(self->files[file], name);
    return found;
}

const char *safetensors_set_about(const safetensors_set *self, const char *name) {
    return safetensors_about(self->files[0], name);
}

int safetensors_set_read_floats(const safetensors_set *self, const safetensors_tensor *tensor,
                                float *out, ls_error *error) {
    for (int file = 0; file < self->count; file++)
        if (safetensors_find(self->files[file], tensor->name) == tensor)
            return safetensors_read_floats(self->files[file], tensor, out, error);
    return ls_fail(error, LS_FAILED, "%.200s: a tensor of no file", tensor->name);
}
