/* `pack images --encoded`: its options, and what they choose. */
#ifndef LOCKSTEP_CLI_PACK_ENCODED_H
#define LOCKSTEP_CLI_PACK_ENCODED_H

#include "base/option.h"
#include "data/pack_encoded.h"

typedef struct pack_encoded_options {
    bool encoded, skip_bad;
    const char *check, *exif, *order;
    int64_t max_side, quality, memory;
} pack_encoded_options;

extern const option pack_encoded_table[]; /* offsets in pack_encoded_options */

/* LS_BAD_INPUT in a build without libjpeg. */
int pack_encoded_choose(const pack_encoded_options *given, uint64_t seed, encoded_choices *out,
                        ls_error *error);

/* Lists SRC; the caller closes *out. */
int pack_encoded_list(const encoded_choices *choices, const char *folder, double test_fraction,
                      image_folder *out, ls_error *error);

#endif
