#include "checkpoint/checkpoint.h"
#include "checkpoint/part.h"
#include "data/format.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool has(const char *folder, const char *name) {
    char path[4096];
    ls_error ignored = {0};
    return path_join(path, sizeof path, folder, name, &ignored) == LS_OK && access(path, F_OK) == 0;
}

/* DIR/last or DIR/best -> the folder that it names. */
static int follow(const char *dir, const char *which, char *folder, size_t capacity,
                  ls_error *error) {
    char name[CHECKPOINT_FOLDER_BYTES];
    LS_TRY(checkpoint_pointed(dir, which, name, error));
    if (!name[0])
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a checkpoint, found none (no file '%s')",
                       dir, which);
    return path_join(folder, capacity, dir, name, error);
}

int checkpoint_resolve(const char *where, char *folder, size_t capacity, ls_error *error) {
    char path[4096];
    struct stat found;
    if (strlen(where) >= sizeof path)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", where);
    snprintf(path, sizeof path, "%s", where);
    for (size_t length = strlen(path); length > 1 && path[length - 1] == '/';)
        path[--length] = '\0';
    if (stat(path, &found) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a checkpoint", path);
    char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    if (S_ISREG(found.st_mode) &&
        (strcmp(name, CHECKPOINT_LAST) == 0 || strcmp(name, CHECKPOINT_BEST) == 0)) {
        const char *which = strcmp(name, CHECKPOINT_BEST) == 0 ? CHECKPOINT_BEST : CHECKPOINT_LAST;
        if (slash)
            *slash = '\0';
        return follow(slash ? (path[0] ? path : "/") : ".", which, folder, capacity, error);
    }
    if (!has(path, CHECKPOINT_MANIFEST) && !has(path, CHECKPOINT_MANIFEST_SUM))
        return follow(path, CHECKPOINT_LAST, folder, capacity, error);
    if (strlen(path) >= capacity)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", path);
    snprintf(folder, capacity, "%s", path);
    return LS_OK;
}

static int find_parts(checkpoint *self, ls_error *error) {
    const checkpoint_manifest *manifest = &self->manifest;
    self->parts = calloc((size_t)manifest->part_count + 1, sizeof *self->parts);
    if (!self->parts)
        return ls_fail(error, LS_FAILED, "%s: out of memory", self->folder);
    for (int part = 0; part < manifest->part_count; part++)
        self->parts[part].file.id = -1;
    for (int part = 0; part < manifest->part_count; part++)
        LS_TRY(part_find(&self->parts[part], self->folder, &manifest->parts[part], error));
    return LS_OK;
}

int checkpoint_open(checkpoint *self, const char *folder, ls_error *error) {
    *self = (checkpoint){0};
    if (strlen(folder) >= sizeof self->folder)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", folder);
    snprintf(self->folder, sizeof self->folder, "%s", folder);
    LS_TRY(checkpoint_manifest_read(&self->manifest, folder, error));
    int status = find_parts(self, error);
    if (status != LS_OK)
        checkpoint_close(self);
    return status;
}

void checkpoint_close(checkpoint *self) {
    for (int part = 0; self->parts && part < self->manifest.part_count; part++)
        part_close(&self->parts[part]);
    free(self->parts);
    checkpoint_manifest_free(&self->manifest);
    *self = (checkpoint){0};
}

/* Open, and its digest checked at some time before it was. */
static int enter(const checkpoint *self, int index, ls_error *error) {
    const checkpoint_part *part = &self->manifest.parts[index];
    part_reader *reader = &self->parts[index];
    if (!reader->trusted)
        LS_TRY(part_check_digest(reader, part, error));
    return part_open(reader, &self->manifest, part, error);
}

int checkpoint_verify(const checkpoint *self, int number, int every, ls_error *error) {
    for (int index = number; index < self->manifest.part_count; index += every) {
        self->parts[index].trusted = false; /* as it is now */
        LS_TRY(enter(self, index, error));
    }
    return LS_OK;
}

void checkpoint_trust(const checkpoint *self) {
    for (int part = 0; part < self->manifest.part_count; part++)
        self->parts[part].trusted = true;
}

static bool has_array(const checkpoint_manifest *manifest, const checkpoint_part *part, int array) {
    for (int index = 0; index < part->range_count; index++)
        if (manifest->ranges[part->first_range + index].array == array)
            return true;
    return false;
}

int checkpoint_read(const checkpoint *self, const char *array, int64_t first, int64_t count,
                    float *out, ls_error *error) {
    const checkpoint_manifest *manifest = &self->manifest;
    int number = checkpoint_find_array(manifest, array);
    if (number < 0)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected an array '%s', found none", self->folder,
                       array);
    int64_t length = manifest->arrays[number].length;
    if (first < 0 || count < 0 || first > length || count > length - first)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: %s: expected elements up to %" PRId64 ", found %" PRId64, self->folder,
                       array, first + count, length);
    for (int part = 0; part < manifest->part_count; part++) {
        if (!has_array(manifest, &manifest->parts[part], number))
            continue;
        LS_TRY(enter(self, part, error));
        LS_TRY(part_read(&self->parts[part], manifest, &manifest->parts[part], number, first, count,
                         out, error));
    }
    return LS_OK;
}

const checkpoint_tensor *checkpoint_find_tensor(const checkpoint *self, const char *name) {
    for (int index = 0; index < self->manifest.tensor_count; index++)
        if (strcmp(self->manifest.tensors[index].name, name) == 0)
            return &self->manifest.tensors[index];
    return NULL;
}
