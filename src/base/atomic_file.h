/* Files that are either whole or absent: written under a temporary name in the same folder,
 * closed, fsynced, renamed, the folder fsynced. What is unfinished when the process is told to
 * end is removed by atomic_file_discard_all(). */
#ifndef LOCKSTEP_BASE_ATOMIC_FILE_H
#define LOCKSTEP_BASE_ATOMIC_FILE_H

#include "base/error.h"

#include <stddef.h>

typedef struct atomic_file {
    char path[4096];      /* the final name */
    char temporary[4352]; /* where to write: the caller creates and closes it */
} atomic_file;

/* Chooses the temporary name and registers it for removal; removes what processes that are gone
 * left in the folder (leftover.h). */
int atomic_file_begin(atomic_file *file, const char *path, ls_error *error);

/* The temporary file is complete and closed: writes it to the disk now, where several are to be
 * committed together later. */
int atomic_file_sync(const atomic_file *file, ls_error *error);

/* The temporary file is complete and closed: fsync, rename, fsync the folder. On failure the
 * temporary file is removed. */
int atomic_file_commit(atomic_file *file, ls_error *error);

/* Gives up: removes the temporary file. Safe after a commit (does nothing). */
void atomic_file_discard(atomic_file *file);

/* Removes every temporary file begun and not committed. Only unlink(2): safe in a signal
 * handler and from any thread that is about to end the process. */
void atomic_file_discard_all(void);

/* Begin, write `length` bytes, commit. */
int atomic_file_write(const char *path, const void *bytes, size_t length, ls_error *error);

/* fsync(2) of a file, or of a folder, whose names are then on the disk. */
int path_sync(const char *path, ls_error *error);

/* mkdir -p. An existing folder is fine; anything else by that name is LS_BAD_INPUT. */
int folder_create(const char *path, ls_error *error);

#endif
