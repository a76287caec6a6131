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

static int open_parts(checkpoint *self, ls_error *error) {
    const checkpoint_manifest *manifest = &self->manifest;
    self->parts = calloc((size_t)manifest->part_count + 1, sizeof *self->parts);
    if (!self->parts)
        return ls_fail(error, LS_FAILED, "%s: out of memory", self->folder);
    for (int part = 0; part < manifest->part_count; part++)
        self->parts[part].file.id = -1;
    for (int part = 0; part < manifest->part_count; part++)
        LS_TRY(
            part_open(&self->parts[part], self->folder, manifest, &manifest->parts[part], error));
    return LS_OK;
}

int checkpoint_open(checkpoint *self, const char *folder, ls_error *error) {
    *self = (checkpoint){0};
    if (strlen(folder) >= sizeof self->folder)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", folder);
    snprintf(self->folder, sizeof self->folder, "%s", folder);
    LS_TRY(checkpoint_manifest_read(&self->manifest, folder, error));
    int status = open_parts(self, error);
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

int checkpoint_verify(const checkpoint *self, int number, int every, ls_error *error) {
    for (int index = number; index < self->manifest.part_count; index += every) {
        const checkpoint_part *part = &self->manifest.parts[index];
        char hex[FORMAT_DIGEST_BYTES];
        int64_t bytes;
        LS_TRY(checkpoint_file_digest(self->parts[index].path, hex, &bytes, error));
        if (strcmp(hex, part->sha256) != 0)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: its SHA-256 is not the one in the manifest: the file is damaged",
                           self->parts[index].path);
    }
    return LS_OK;
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
    for (int part = 0; part < manifest->part_count; part++)
        LS_TRY(part_read(&self->parts[part], manifest, &manifest->parts[part], number, first, count,
                         out, error));
    return LS_OK;
}

const checkpoint_tensor *checkpoint_find_tensor(const checkpoint *self, const char *name) {
    for (int index = 0; index < self->manifest.tensor_count; index++)
        if (strcmp(self->manifest.tensors[index].name, name) == 0)
            return &self->manifest.tensors[index];
    return NULL;
}
