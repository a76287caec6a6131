/* The folder of a run's checkpoints: one folder in it each, which is complete or is not there, and
 * the files `last` and `best`, which name one of them and are replaced atomically. A checkpoint is
 * written under a temporary name, ".NAME.tmp", synced file by file, and renamed. */
#ifndef LOCKSTEP_CHECKPOINT_FOLDER_H
#define LOCKSTEP_CHECKPOINT_FOLDER_H

#include "checkpoint/manifest.h"

#define CHECKPOINT_LAST "last"
#define CHECKPOINT_BEST "best"

enum { CHECKPOINT_FOLDER_BYTES = 256 };

/* "DIR/.step-0000000123.ID-7.tmp" for the run's save number `serial`: the same on all ranks. */
int checkpoint_temporary(char *out, size_t capacity, const char *dir, const char *id,
                         int64_t serial, int64_t step, ls_error *error);

/* Makes the temporary folder, on any of the ranks, or finds it made. */
int checkpoint_begin(const char *temporary, ls_error *error);

/* The temporary folder, which holds its manifest, becomes "DIR/step-0000000123", or, where that
 * name is taken, "step-0000000123.2" and so on; `name` is what it is. */
int checkpoint_publish(const char *dir, const char *temporary, int64_t step,
                       char name[CHECKPOINT_FOLDER_BYTES], ls_error *error);

/* `which`: CHECKPOINT_LAST or CHECKPOINT_BEST. *name is "" where there is no such file;
 * LS_BAD_INPUT where it holds anything but the name of a folder. */
int checkpoint_point(const char *dir, const char *which, const char *name, ls_error *error);
int checkpoint_pointed(const char *dir, const char *which, char name[CHECKPOINT_FOLDER_BYTES],
                       ls_error *error);

/* A folder and all files in it, renamed away first, so that no half of it has its name; a failure
 * is no matter, the next sweep finds the rest. */
void checkpoint_remove(const char *dir, const char *name);
/* What killed writers left. Only by whom `dir` is claimed. */
void checkpoint_sweep(const char *dir);

/* A checkpoint that was found. */
typedef struct checkpoint_entry {
    char name[CHECKPOINT_FOLDER_BYTES];
    bool readable;   /* its manifest is whole; the values below are its */
    char text[1024]; /* else: what is wrong with it */
    char id[33];
    int64_t serial, step, epoch, position, bytes;
    double test_accuracy, test_loss;
} checkpoint_entry;

/* All folders in `dir` with such names, the newest (by serial) first, what is not readable last.
 * The caller frees *out [*count]. A `dir` that is not there holds none. */
int checkpoint_list(const char *dir, checkpoint_entry **out, int *count, ls_error *error);

/* One that no checkpoint of run `id` in `dir` has more than; 0: it has none there. Of one that
 * cannot be read just now nothing is known, and it may be read again: then it is far above what the
 * others have, so that the next save is the newest whatever comes to light. */
int checkpoint_last_serial(const char *dir, const char *id, int64_t *out, ls_error *error);

/* Keeps the newest `keep` and what `last` and `best` name, and removes the rest of run `id`. */
int checkpoint_prune(const char *dir, const char *id, int keep, ls_error *error);

#endif
