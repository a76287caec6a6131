#include "checkpoint/folder.h"

#include "base/atomic_file.h"
#include "base/transfer.h"
#include "data/format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_SAME_STEP = 10000, SKIPPED_SERIALS = 1000000 };

int checkpoint_temporary(char *out, size_t capacity, const char *dir, const char *id,
                         int64_t serial, int64_t step, ls_error *error) {
    char name[CHECKPOINT_FOLDER_BYTES];
    snprintf(name, sizeof name, ".step-%010" PRId64 ".%s-%" PRId64 ".tmp", step, id, serial);
    return path_join(out, capacity, dir, name, error);
}

int checkpoint_begin(const char *temporary, ls_error *error) {
    if (mkdir(temporary, 0777) == 0 || errno == EEXIST)
        return LS_OK;
    return ls_fail_errno(error, LS_FAILED, "%s: cannot create the folder", temporary);
}

static void step_name(char out[CHECKPOINT_FOLDER_BYTES], int64_t step, int attempt) {
    int length = snprintf(out, CHECKPOINT_FOLDER_BYTES, "step-%010" PRId64, step);
    if (attempt > 1)
        snprintf(out + length, CHECKPOINT_FOLDER_BYTES - (size_t)length, ".%d", attempt);
}

int checkpoint_publish(const char *dir, const char *temporary, int64_t step,
                       char name[CHECKPOINT_FOLDER_BYTES], ls_error *error) {
    char path[4096];
    LS_TRY(path_sync(temporary, error));
    for (int attempt = 1; attempt < MOST_SAME_STEP; attempt++) {
        step_name(name, step, attempt);
        LS_TRY(path_join(path, sizeof path, dir, name, error));
        /* An empty folder could be replaced by the rename: none of ours is. */
        if (rename(temporary, path) == 0)
            return path_sync(dir, error);
        if (errno != EEXIST && errno != ENOTEMPTY && errno != ENOTDIR)
            break;
    }
    return ls_fail_errno(error, LS_FAILED, "%s: cannot rename into place", path);
}

/* ---- last and best */

static bool is_step_name(const char *name) {
    const char *at = name + strlen("step-");
    if (strncmp(name, "step-", strlen("step-")) != 0 || strlen(name) >= CHECKPOINT_FOLDER_BYTES)
        return false;
    size_t digits = strspn(at, "0123456789");
    if (digits < 10 || (at[digits] != '\0' && at[digits] != '.'))
        return false;
    return at[digits] == '\0' || (at[digits + 1] != '\0' &&
                                  strspn(at + digits + 1, "0123456789") == strlen(at) - digits - 1);
}

int checkpoint_point(const char *dir, const char *which, const char *name, ls_error *error) {
    char path[4096], line[CHECKPOINT_FOLDER_BYTES + 1];
    LS_TRY(path_join(path, sizeof path, dir, which, error));
    int length = snprintf(line, sizeof line, "%s\n", name);
    return atomic_file_write(path, line, (size_t)length, error);
}

int checkpoint_pointed(const char *dir, const char *which, char name[CHECKPOINT_FOLDER_BYTES],
                       ls_error *error) {
    char path[4096], line[CHECKPOINT_FOLDER_BYTES] = "";
    name[0] = '\0';
    LS_TRY(path_join(path, sizeof path, dir, which, error));
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0 && (errno == ENOENT || errno == ENOTDIR))
        return LS_OK;
    if (file < 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    ssize_t got = read_whole(file, line, sizeof line - 1);
    int saved = errno;
    close(file);
    errno = saved;
    if (got < 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    size_t length = strcspn(line, "\n");
    bool whole = line[length] == '\n' && (ssize_t)length + 1 == got;
    line[length] = '\0';
    if (!whole || !is_step_name(line))
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected the name of a checkpoint's folder, found '%.40s'", path, line);
    memcpy(name, line, length + 1);
    return LS_OK;
}

/* ---- removal */

static void remove_files(const char *path) {
    DIR *stream = opendir(path);
    if (stream) {
        for (struct dirent *entry; (entry = readdir(stream));)
            unlinkat(dirfd(stream), entry->d_name, 0);
        closedir(stream);
    }
    rmdir(path);
}

void checkpoint_remove(const char *dir, const char *name) {
    char path[4096], away[4096], hidden[CHECKPOINT_FOLDER_BYTES + 32];
    ls_error ignored = {0};
    snprintf(hidden, sizeof hidden, "%s%s.removed.tmp", name[0] == '.' ? "" : ".", name);
    if (path_join(path, sizeof path, dir, name, &ignored) != LS_OK ||
        path_join(away, sizeof away, dir, hidden, &ignored) != LS_OK)
        return;
    remove_files(away);
    if (rename(path, away) == 0)
        remove_files(away);
}

void checkpoint_sweep(const char *dir) {
    char path[4096];
    ls_error ignored = {0};
    DIR *stream = opendir(dir);
    if (!stream)
        return;
    for (struct dirent *entry; (entry = readdir(stream));) {
        size_t length = strlen(entry->d_name);
        if (strncmp(entry->d_name, ".step-", strlen(".step-")) == 0 && length > 4 &&
            strcmp(entry->d_name + length - 4, ".tmp") == 0 &&
            path_join(path, sizeof path, dir, entry->d_name, &ignored) == LS_OK)
            remove_files(path);
    }
    closedir(stream);
}

/* ---- the list */

static int by_age(const void *a, const void *b) {
    const checkpoint_entry *left = a, *right = b;
    if (left->readable != right->readable)
        return left->readable ? -1 : 1;
    if (left->serial != right->serial)
        return left->serial > right->serial ? -1 : 1;
    return -strcmp(left->name, right->name);
}

static void look(const char *dir, checkpoint_entry *out) {
    char path[4096];
    checkpoint_manifest manifest;
    ls_error error = {0};
    int status = path_join(path, sizeof path, dir, out->name, &error);
    if (status == LS_OK)
        status = checkpoint_manifest_read(&manifest, path, &error);
    snprintf(out->text, sizeof out->text, "%s", error.text);
    if (status != LS_OK)
        return;
    out->readable = true;
    memcpy(out->id, manifest.id, sizeof out->id);
    out->serial = manifest.serial;
    out->step = manifest.step;
    out->epoch = manifest.epoch;
    out->position = manifest.position;
    out->test_accuracy = manifest.test_accuracy;
    out->test_loss = manifest.test_loss;
    for (int part = 0; part < manifest.part_count; part++)
        out->bytes += manifest.parts[part].bytes;
    checkpoint_manifest_free(&manifest);
}

static int add_entry(const char *name, checkpoint_entry **list, int *count, ls_error *error) {
    checkpoint_entry *larger = realloc(*list, ((size_t)*count + 1) * sizeof *larger);
    if (!larger)
        return ls_fail(error, LS_FAILED, "out of memory");
    *list = larger;
    larger[*count] = (checkpoint_entry){0};
    snprintf(larger[*count].name, sizeof larger->name, "%s", name);
    ++*count;
    return LS_OK;
}

int checkpoint_list(const char *dir, checkpoint_entry **out, int *count, ls_error *error) {
    int status = LS_OK;
    *out = NULL;
    *count = 0;
    DIR *stream = opendir(dir);
    if (!stream && (errno == ENOENT || errno == ENOTDIR))
        return LS_OK;
    if (!stream)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot look into the folder", dir);
    for (struct dirent *entry; status == LS_OK && (entry = readdir(stream));)
        if (is_step_name(entry->d_name))
            status = add_entry(entry->d_name, out, count, error);
    closedir(stream);
    for (int index = 0; status == LS_OK && index < *count; index++)
        look(dir, &(*out)[index]);
    if (status == LS_OK && *count > 0)
        qsort(*out, (size_t)*count, sizeof **out, by_age);
    if (status != LS_OK) {
        free(*out);
        *out = NULL;
    }
    return status;
}

int checkpoint_prune(const char *dir, const char *id, int keep, ls_error *error) {
    char last[CHECKPOINT_FOLDER_BYTES], best[CHECKPOINT_FOLDER_BYTES];
    checkpoint_entry *list;
    int count, kept = 0;
    LS_TRY(checkpoint_pointed(dir, CHECKPOINT_LAST, last, error));
    LS_TRY(checkpoint_pointed(dir, CHECKPOINT_BEST, best, error));
    LS_TRY(checkpoint_list(dir, &list, &count, error));
    for (int index = 0; index < count; index++) {
        const checkpoint_entry *entry = &list[index];
        if (!entry->readable || strcmp(entry->id, id) != 0)
            continue; /* another's, or a damaged one: the user's to look at */
        bool pointed = strcmp(entry->name, last) == 0 || strcmp(entry->name, best) == 0;
        if (kept++ >= keep && !pointed)
            checkpoint_remove(dir, entry->name);
    }
    free(list);
    return LS_OK;
}

int checkpoint_last_serial(const char *dir, const char *id, int64_t *out, ls_error *error) {
    checkpoint_entry *list;
    int count;
    LS_TRY(checkpoint_list(dir, &list, &count, error));
    *out = 0;
    bool hidden = false;
    for (int index = 0; index < count; index++) {
        hidden |= !list[index].readable;
        if (list[index].readable && strcmp(list[index].id, id) == 0 && list[index].serial > *out)
            *out = list[index].serial;
    }
    *out += hidden ? SKIPPED_SERIALS : 0;
    free(list);
    return LS_OK;
}
