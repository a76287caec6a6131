#include "data/pack_folder.h"

#include "base/atomic_file.h"
#include "data/folder.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static size_t existing_part(const char *folder) {
    char partial[4096];
    struct stat found;
    snprintf(partial, sizeof partial, "%s", folder);
    while (stat(partial, &found) != 0) {
        char *slash = strrchr(partial, '/');
        if (!slash)
            return 0;
        *slash = '\0';
    }
    return strlen(partial);
}

static int check_unused(const pack_folder *self, const pack_settings *settings, ls_error *error) {
    char path[4096];
    struct stat found;
    LS_TRY(path_join(path, sizeof path, self->path, FORMAT_MANIFEST, error));
    if (!settings->force && lstat(path, &found) == 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "%s: expected a folder without a data set, found " FORMAT_MANIFEST
                       " (--force replaces it)",
                       self->path);
    return LS_OK;
}

int pack_folder_take(pack_folder *self, const pack_settings *settings, ls_error *error) {
    LS_TRY(path_join(self->path, sizeof self->path, settings->folder, "", error));
    for (size_t end = strlen(self->path); end > 1 && self->path[end - 1] == '/'; end--)
        self->path[end - 1] = '\0';
    self->existing_length = existing_part(self->path);
    LS_TRY(check_unused(self, settings, error));
    LS_TRY(folder_create(self->path, error));
    if (access(self->path, W_OK | X_OK) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a folder that can be written to",
                             self->path);
    LS_TRY(claim_take(self->path, &self->claim, error));
    return check_unused(self, settings, error); /* who held it may have finished meanwhile */
}

int pack_folder_remove_surplus(const pack_folder *self, const manifest *written, ls_error *error) {
    for (int split = 0; split < SPLITS; split++) {
        for (;;) {
            char path[4096];
            LS_TRY(folder_surplus_shard(self->path, split_names[split],
                                        written->splits[split].shards, path, sizeof path, error));
            if (path[0] == '\0')
                break;
            if (unlink(path) != 0)
                return ls_fail_errno(error, LS_FAILED, "%s: cannot remove the old shard", path);
        }
    }
    return LS_OK;
}

void pack_folder_release(pack_folder *self) {
    claim_release(self->claim);
    self->claim = NULL;
}

void pack_folder_undo(pack_folder *self) {
    pack_folder_release(self);
    size_t length = strlen(self->path);
    while (length > self->existing_length && rmdir(self->path) == 0) {
        char *slash = strrchr(self->path, '/');
        if (!slash)
            return;
        *slash = '\0';
        length = strlen(self->path);
    }
}
