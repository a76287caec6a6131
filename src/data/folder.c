#include "data/folder.h"

#include "data/format.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static int by_bytes(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int append(name_list *list, const char *name) {
    if ((list->count & (list->count - 1)) == 0) { /* capacity is the next power of two */
        size_t capacity = list->count ? (size_t)list->count * 2 : 1;
        char **grown = realloc(list->names, capacity * sizeof *grown);
        if (!grown)
            return -1;
        list->names = grown;
    }
    list->names[list->count] = strdup(name);
    return list->names[list->count] ? (list->count++, 0) : -1;
}

static int read_names(DIR *stream, const char *folder, name_list *out, ls_error *error) {
    for (;;) {
        errno = 0;
        struct dirent *entry = readdir(stream);
        if (!entry && errno != 0)
            return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot list the folder", folder);
        if (!entry)
            return LS_OK;
        if (entry->d_name[0] != '.' && append(out, entry->d_name) != 0)
            return ls_fail(error, LS_FAILED, "%s: out of memory for its list of files", folder);
    }
}

int folder_list(const char *folder, name_list *out, ls_error *error) {
    *out = (name_list){0};
    DIR *stream = opendir(folder);
    if (!stream)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a readable folder", folder);
    int status = read_names(stream, folder, out, error);
    closedir(stream);
    if (status != LS_OK)
        name_list_release(out);
    else if (out->count > 1)
        qsort(out->names, (size_t)out->count, sizeof *out->names, by_bytes);
    return status;
}

void name_list_release(name_list *self) {
    for (int index = 0; index < self->count; index++)
        free(self->names[index]);
    free(self->names);
    *self = (name_list){0};
}

bool is_folder(const char *path) {
    struct stat found;
    return stat(path, &found) == 0 && S_ISDIR(found.st_mode);
}

/* "train-00012.h5" -> 12; -1 for any other name. */
static int shard_index(const char *name, const char *split) {
    char canonical[FORMAT_SHARD_NAME_BYTES];
    size_t length = strlen(split);
    if (strncmp(name, split, length) != 0 || name[length] != '-')
        return -1;
    int index = atoi(name + length + 1);
    shard_name(canonical, split, index);
    return strcmp(canonical, name) == 0 ? index : -1;
}

int folder_surplus_shard(const char *folder, const char *split, int shards, char *path,
                         size_t capacity, ls_error *error) {
    name_list list;
    path[0] = '\0';
    LS_TRY(folder_list(folder, &list, error));
    int status = LS_OK;
    for (int index = 0; status == LS_OK && path[0] == '\0' && index < list.count; index++)
        if (shard_index(list.names[index], split) >= shards)
            status = path_join(path, capacity, folder, list.names[index], error);
    name_list_release(&list);
    return status;
}
