/* Inside packing: which shards there will be, where they lie, and how they get their names. */
#ifndef LOCKSTEP_DATA_PACK_PLAN_H
#define LOCKSTEP_DATA_PACK_PLAN_H

#include "base/atomic_file.h"
#include "data/pack_folder.h"

typedef struct pack_job {
    int split;
    int64_t first, images;
    manifest_shard *entry; /* in the plan's manifest */
    atomic_file file;
} pack_job;

typedef struct pack_plan {
    manifest manifest;
    pack_job *jobs; /* [job_count], in the manifest's order */
    int job_count;
    int64_t total_images, largest_job_images;
    pack_folder folder;
} pack_plan;

/* Decides on the shards, refuses a folder that holds a data set (unless settings->force) or cannot
 * be written to, creates it, claims it for this process, and begins every file. */
int pack_plan_start(pack_plan *self, const source *from, const pack_settings *settings,
                    ls_error *error);

/* All shards are complete under their temporary names: gives them, and then the manifest, their
 * own. Replacing a data set, its manifest goes first, so that no mixture ever has one. */
int pack_plan_commit(pack_plan *self, ls_error *error);

/* Removes what was begun and not committed, and the folders that were created. */
void pack_plan_discard(pack_plan *self);

void pack_plan_release(pack_plan *self);

#endif
