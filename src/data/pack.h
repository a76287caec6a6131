/* Packing: a source's images into shards and a manifest, by several threads; and the re-reading
 * of everything that was packed. */
#ifndef LOCKSTEP_DATA_PACK_H
#define LOCKSTEP_DATA_PACK_H

#include "base/error.h"
#include "data/manifest.h"
#include "data/source.h"

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* How far it is. */
typedef struct pack_state {
    int64_t done_images, images, done_bytes, bytes; /* bytes: of the source, or of pixels */
    int64_t kept_images, kept_bytes;                /* of the done ones: by an earlier pack */
    double seconds;                                 /* that the others took */
} pack_state;

/* Called about twenty times a second by the thread that packs. */
typedef void (*pack_progress)(void *context, const pack_state *state);

/* A line about a damaged file, where there are several. Called by one thread at a time. */
typedef void (*pack_complaint)(const char *text);

typedef struct pack_settings {
    const char *folder;
    int shards;   /* of each split; 0: as many as make a shard about 64 MiB */
    int threads;  /* at least 1 */
    bool force;   /* replace a data set that is there */
    bool resumes; /* what is finished when it ends early is kept for the next attempt */
    /* Not 0: the number of the signal that asks to stop. Written by a signal handler. */
    const volatile sig_atomic_t *interrupted;
    pack_progress progress; /* may be NULL */
    void *progress_context;
    pack_complaint complain; /* may be NULL */
} pack_settings;

/* Writes FOLDER's shards and, last, its manifest. All shards are complete, and on the disk, under
 * temporary names before the first gets its own. Damaged files (LS_BAD_INPUT) are all looked for,
 * up to a page of them: one is the error's text, several cost a line each by `complain`. On failure
 * (LS_BAD_INPUT, LS_FAILED) or an interruption (signals_exit_code) what was begun is removed, a
 * folder that was created too. *out is the manifest that was written; the caller releases it. */
int pack_run(const source *from, const pack_settings *settings, manifest *out, ls_error *error);

/* Re-reads a data set: everything that a reader checks (see dataset.h), the shards' SHA-256 and
 * the data set id. Uses folder, interrupted and progress. *out as above. */
int pack_verify(const pack_settings *settings, manifest *out, ls_error *error);

/* LS_OK, or the failure that a received signal stands for. */
int pack_check_interrupt(const pack_settings *settings, ls_error *error);

#endif
