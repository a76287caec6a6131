/* Inside packing image files: which shards there will be, which of them are there already, and how
 * they become a data set. */
#ifndef LOCKSTEP_DATA_PACK_STAGE_H
#define LOCKSTEP_DATA_PACK_STAGE_H

#include "data/pack_encoded.h"
#include "data/pack_folder.h"
#include "data/pack_record.h"

#include <stdatomic.h>

typedef struct stage_job {
    int split, number;
    int64_t first, images; /* places in the split's order */
    int64_t bytes;         /* of their files, as they were listed */
    char path[4096];       /* in PACKING_FOLDER, or in OUT where it lies there */
    char record[4096];     /* the path of its record */
    char plan[FORMAT_DIGEST_BYTES];
    bool done;
    manifest_shard *entry; /* in the stage's manifest */
} stage_job;

typedef struct pack_stage {
    const image_folder *from;
    pack_folder folder;
    char packing[4096]; /* OUT/PACKING_FOLDER */
    manifest manifest;
    stage_job *jobs; /* [job_count], in the manifest's order; owned */
    int job_count;
    int64_t total_images, total_bytes, kept_images, kept_bytes;
    int64_t most_images, most_bytes; /* of a job */
    _Atomic int finished;            /* jobs that are done */
    bool committed;
} pack_stage;

/* Decides on the shards, takes the folder (pack_folder.h), and finds those that an earlier pack of
 * the same files with the same choices has finished. */
int stage_start(pack_stage *self, const image_folder *from, const encoded_choices *choices,
                const pack_settings *settings, ls_error *error);

/* A job's shard has its name: keeps its record. By any thread. */
int stage_finish(pack_stage *self, stage_job *job, const pack_record *record, ls_error *error);

/* All jobs are done: shards, lists and the manifest get their names; *out is the caller's. */
int stage_commit(pack_stage *self, manifest *out, ls_error *error);

/* Uncommitted, and nothing finished: removes what was begun. Else what is finished stays. */
void stage_end(pack_stage *self);

#endif
