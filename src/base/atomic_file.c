#include "base/atomic_file.h"

#include "base/leftover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Temporary names that exist now. A slot is claimed with a compare-and-swap and holds a pointer
 * into the atomic_file, so that a signal handler can walk the table. It grows by whole blocks that
 * are never freed: packing keeps a temporary file a shard until all are complete. */
enum { SLOTS = 64 };
typedef struct slots {
    _Atomic(const char *) pending[SLOTS];
    _Atomic(struct slots *) next;
} slots;
static slots first_slots;

static int remember(const char *temporary) {
    for (slots *block = &first_slots;;) {
        for (int slot = 0; slot < SLOTS; slot++) {
            const char *empty = NULL;
            if (atomic_compare_exchange_strong(&block->pending[slot], &empty, temporary))
                return 1;
        }
        slots *next = atomic_load(&block->next);
        if (!next) {
            slots *fresh = calloc(1, sizeof *fresh);
            if (!fresh)
                return 0;
            if (!atomic_compare_exchange_strong(&block->next, &next, fresh))
                free(fresh); /* another thread was first: `next` is its block */
            else
                next = fresh;
        }
        block = next;
    }
}

static void forget(const char *temporary) {
    for (slots *block = &first_slots; block; block = atomic_load(&block->next))
        for (int slot = 0; slot < SLOTS; slot++) {
            const char *expected = temporary;
            if (atomic_compare_exchange_strong(&block->pending[slot], &expected, NULL))
                return;
        }
}

void atomic_file_discard_all(void) {
    for (slots *block = &first_slots; block; block = atomic_load(&block->next))
        for (int slot = 0; slot < SLOTS; slot++) {
            const char *temporary = atomic_load(&block->pending[slot]);
            if (temporary)
                unlink(temporary);
        }
}

static void folder_of(const char *path, char *folder, size_t capacity) {
    snprintf(folder, capacity, "%s", path);
    char *slash = strrchr(folder, '/');
    if (!slash)
        snprintf(folder, capacity, ".");
    else if (slash == folder)
        folder[1] = '\0';
    else
        *slash = '\0';
}

int atomic_file_begin(atomic_file *file, const char *path, ls_error *error) {
    const char *slash = strrchr(path, '/');
    const char *name = slash ? slash + 1 : path;
    size_t folder_length = (size_t)(name - path);
    if (strlen(path) >= sizeof file->path)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is longer than %zu bytes", path,
                       sizeof file->path - 1);
    char temporary[256], folder[sizeof file->path];
    folder_of(path, folder, sizeof folder);
    leftover_sweep(folder);
    leftover_name(name, temporary, sizeof temporary);
    snprintf(file->path, sizeof file->path, "%s", path);
    snprintf(file->temporary, sizeof file->temporary, "%.*s%s", (int)folder_length, path,
             temporary);
    unlink(file->temporary); /* where /proc tells no start time, a killed process's */
    if (!remember(file->temporary))
        return ls_fail(error, LS_FAILED, "%s: out of memory to register the file", path);
    return LS_OK;
}

void atomic_file_discard(atomic_file *file) {
    if (file->temporary[0] == '\0')
        return;
    unlink(file->temporary);
    forget(file->temporary);
    file->temporary[0] = '\0';
}

int path_sync(const char *path, ls_error *error) {
    int descriptor = open(path, O_RDONLY | O_CLOEXEC);
    if (descriptor < 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot open to sync", path);
    int failed = fsync(descriptor);
    int saved = errno;
    close(descriptor);
    errno = saved;
    /* A folder on some network file systems cannot be synced: EINVAL says so, and is no loss. */
    if (failed && saved != EINVAL)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot sync to disk", path);
    return LS_OK;
}

int atomic_file_sync(const atomic_file *file, ls_error *error) {
    return path_sync(file->temporary, error);
}

/* Also where its folder was moved meanwhile: `folder` is that, open, or -1. */
static void discard_in(atomic_file *file, int folder) {
    const char *slash = strrchr(file->temporary, '/');
    if (folder >= 0)
        unlinkat(folder, slash ? slash + 1 : file->temporary, 0);
    atomic_file_discard(file);
}

int atomic_file_commit(atomic_file *file, ls_error *error) {
    char name[sizeof file->path];
    folder_of(file->path, name, sizeof name);
    int folder = open(name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int status = path_sync(file->temporary, error);
    if (status == LS_OK && rename(file->temporary, file->path) != 0)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot rename into place", file->path);
    if (status != LS_OK)
        discard_in(file, folder);
    if (folder >= 0)
        close(folder);
    LS_TRY(status);
    forget(file->temporary);
    file->temporary[0] = '\0';
    return path_sync(name, error);
}

int atomic_file_write(const char *path, const void *bytes, size_t length, ls_error *error) {
    atomic_file file;
    LS_TRY(atomic_file_begin(&file, path, error));
    FILE *stream = fopen(file.temporary, "wb");
    if (!stream) {
        int status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
        atomic_file_discard(&file);
        return status;
    }
    int complete = fwrite(bytes, 1, length, stream) == length;
    int saved = errno;
    if (fclose(stream) != 0) {
        if (complete)
            saved = errno;
        complete = 0;
    }
    if (!complete) {
        errno = saved;
        int status = ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
        atomic_file_discard(&file);
        return status;
    }
    return atomic_file_commit(&file, error);
}

int folder_create(const char *path, ls_error *error) {
    char partial[4096];
    if (path[0] == '\0' || strlen(path) >= sizeof partial)
        return ls_fail(error, LS_BAD_INPUT, "'%.80s': expected the path of a folder", path);
    snprintf(partial, sizeof partial, "%s", path);
    for (char *slash = partial + 1;; slash++) {
        if (*slash != '/' && *slash != '\0')
            continue;
        char kept = *slash;
        *slash = '\0';
        if (mkdir(partial, 0777) != 0 && errno != EEXIST)
            return ls_fail_errno(error, ls_place_code(errno), "%s: cannot create the folder",
                                 partial);
        *slash = kept;
        if (kept == '\0')
            break;
    }
    struct stat status;
    if (stat(path, &status) != 0 || !S_ISDIR(status.st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a folder, found a file", path);
    return LS_OK;
}
