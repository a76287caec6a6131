/* Folders of a data set and of sources: listing, and what a folder may hold. */
#ifndef LOCKSTEP_DATA_FOLDER_H
#define LOCKSTEP_DATA_FOLDER_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>

/* Names in a folder, sorted by bytes (the same order everywhere), without those that begin with
 * a dot. */
typedef struct name_list {
    int count;
    char **names; /* [count], owned */
} name_list;

/* LS_BAD_INPUT where the folder is absent, no folder, or unreadable. */
int folder_list(const char *folder, name_list *out, ls_error *error);
void name_list_release(name_list *self);

bool is_folder(const char *path);

/* The path of a shard file in FOLDER that is none of the `shards` first of its split, or "". */
int folder_surplus_shard(const char *folder, const char *split, int shards, char *path,
                         size_t capacity, ls_error *error);

#endif
