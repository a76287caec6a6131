/* --upload: checkpoints that were put in place go to S3, too, beside training, on rank 0. One that
 * is finished while another is on its way waits, and the newest takes the place of one that waits,
 * unless that is the best and the newest is not: then it is said to be left out, and counted as
 * failed. What fails is a line of the log and a column; the run goes on, and so does the next
 * upload.
 *
 * In the bucket: PREFIX/NAME/ has the files of the checkpoint's folder, the manifest last, and
 * PREFIX/best (with --upload-all PREFIX/last, too) its name, as in the folder of checkpoints. */
#ifndef LOCKSTEP_TRAIN_UPLOADER_H
#define LOCKSTEP_TRAIN_UPLOADER_H

#include "base/option.h"
#include "checkpoint/background.h"
#include "s3/s3.h"

typedef struct trainer trainer;

typedef struct upload_options {
    const char *to; /* "s3://BUCKET/PREFIX"; NULL: nothing is uploaded */
    bool all;       /* not the best alone */
} upload_options;

int upload_add_options(option_groups *list, size_t offset, ls_error *error);

/* A checkpoint that is to go: its files, open, so that it may be removed meanwhile. */
typedef struct upload_job {
    char name[256];
    bool best;
    int count;
    struct {
        char file[256];
        int descriptor;
    } * files; /* [count], the manifest and its sum last; NULL: none waits */
} upload_job;

typedef struct uploader {
    bool on, all; /* on rank 0 of a run with --upload; with --upload-all */
    s3_place place;
    s3_client *client;
    background *thread;
    upload_job going, waiting;
    int64_t done, failed;
} uploader;

/* On every rank, before anything is opened: LS_BAD_INPUT where the options do not fit together, and
 * on rank 0 where there are no credentials, or no libcurl. */
int uploader_check(trainer *self, ls_error *error);
/* Starts the thread. */
int uploader_open(trainer *self, ls_error *error);
/* Rank 0: checkpoint `name` of `dir` is in place. */
int uploader_offer(trainer *self, const char *dir, const char *name, bool best, ls_error *error);
/* Hears of what is under way. */
int uploader_look(trainer *self, ls_error *error);
/* At the end: waits for what is under way and what waits, a minute at most where a signal asked for
 * the end (`hurry`). */
int uploader_finish(trainer *self, bool hurry, ls_error *error);
void uploader_close(uploader *self); /* zero bytes are fine */

#endif
