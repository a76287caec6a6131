/* Inside packing: the folder that a data set goes into: created, claimed, given back. */
#ifndef LOCKSTEP_DATA_PACK_FOLDER_H
#define LOCKSTEP_DATA_PACK_FOLDER_H

#include "base/claim.h"
#include "data/pack.h"

typedef struct pack_folder {
    char path[4096];
    folder_claim *claim;
    size_t existing_length; /* of the part of `path` that was there before */
} pack_folder;

/* Refuses a folder that holds a data set (unless settings->force) or cannot be written to, creates
 * it, claims it for this process. After a failure pack_folder_undo() is due. */
int pack_folder_take(pack_folder *self, const pack_settings *settings, ls_error *error);

/* Shards of a replaced data set that had more of them. */
int pack_folder_remove_surplus(const pack_folder *self, const manifest *written, ls_error *error);

/* Gives the claim back. */
void pack_folder_release(pack_folder *self);

/* And removes the folders that were created, where they are empty. */
void pack_folder_undo(pack_folder *self);

#endif
