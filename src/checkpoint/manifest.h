/* What a checkpoint is made of, and all that is not an array: data/CHECKPOINTS.md specifies the
 * files. The manifest is the last file that is written into a checkpoint's folder, and
 * MANIFEST_SUM, a line as `sha256sum` prints it, has its digest; the manifest has the parts'. */
#ifndef LOCKSTEP_CHECKPOINT_MANIFEST_H
#define LOCKSTEP_CHECKPOINT_MANIFEST_H

#include "checkpoint/layout.h"
#include "checkpoint/record.h"
#include "data/digest.h"

#define CHECKPOINT_FORMAT_VERSION 1
#define CHECKPOINT_MANIFEST       "manifest.h5"
#define CHECKPOINT_MANIFEST_SUM   "manifest.sha256"

typedef struct checkpoint_part {
    char file[CHECKPOINT_FILE_BYTES];
    int64_t bytes;                    /* of the file */
    char sha256[FORMAT_DIGEST_BYTES]; /* of the file */
    int first_range, range_count;     /* in checkpoint_manifest.ranges */
} checkpoint_part;

typedef struct checkpoint_manifest {
    char id[33];      /* of the run: the same in all its checkpoints and attempts */
    int64_t serial;   /* 1, 2, ...: which of the run's saves; a later one has a higher number */
    int64_t step;     /* updates of the run so far, skipped ones too */
    int64_t epoch;    /* that goes on: 1, 2, ...; the run's last + 1: it is over */
    int64_t position; /* images of that epoch that were trained on */
    double test_accuracy,
        test_loss; /* of the last finished epoch; NAN: none has, or it was not evaluated */
    checkpoint_array *arrays;
    int array_count;
    checkpoint_tensor *tensors;
    int tensor_count;
    checkpoint_part *parts;
    int part_count;
    checkpoint_range *ranges; /* of all parts, one part's after the other's */
    int range_count;
    record state; /* what the run needs beside its arrays to go on */
} checkpoint_manifest;

/* "part-00007.h5" */
void checkpoint_part_name(char out[CHECKPOINT_FILE_BYTES], int rank);

/* Writes both files into `folder`, which is not in place yet, and syncs them. */
int checkpoint_manifest_write(const checkpoint_manifest *self, const char *folder, ls_error *error);

/* Reads and checks all that can be checked without the parts: the digest, the format, every table
 * against its limits and against the others. LS_BAD_INPUT names file and fault; nothing is left to
 * free then. */
int checkpoint_manifest_read(checkpoint_manifest *self, const char *folder, ls_error *error);

void checkpoint_manifest_free(checkpoint_manifest *self);

/* -1: none of that name. */
int checkpoint_find_array(const checkpoint_manifest *self, const char *name);

/* SHA-256 of a file's bytes, and how many these are. LS_BAD_INPUT where it cannot be read. */
int checkpoint_file_digest(const char *path, char hex[FORMAT_DIGEST_BYTES], int64_t *bytes,
                           ls_error *error);

#endif
