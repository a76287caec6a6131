/* Packing image files as they are (data/README.md, version 2): by several threads, a shard each.
 * Finished shards wait in OUT/PACKING_FOLDER until all are there; a pack that was killed, was
 * interrupted or met a file that is damaged finds them there again. */
#ifndef LOCKSTEP_DATA_PACK_ENCODED_H
#define LOCKSTEP_DATA_PACK_ENCODED_H

#include "data/image_file.h"
#include "data/image_folder.h"
#include "data/pack.h"

#define PACKING_FOLDER ".packing"
#define CONVERTED_LIST "converted.tsv"
#define LEFT_OUT_LIST  "left-out.tsv"

typedef struct encoded_choices {
    image_file_settings file;
    bool skip_bad; /* files of which nothing can be made are left out, not refused */
    bool shuffled; /* the training images, by `seed` */
    uint64_t seed; /* less than 2^63 */
    int64_t
        memory_bytes; /* the most that packing takes, beside the program; 0: 3/4 of what it may */
} encoded_choices;

/* Writes FOLDER's shards, its lists (CONVERTED_LIST: files that were odd and became another JPEG;
 * LEFT_OUT_LIST; each where it has a line) and, last, its manifest. `from` was listed with facts.
 * Damaged files as pack_run() says. LS_BAD_INPUT where memory_bytes is too little for a shard. */
int pack_encoded_run(const image_folder *from, const encoded_choices *choices,
                     const pack_settings *settings, manifest *out, ls_error *error);

#endif
