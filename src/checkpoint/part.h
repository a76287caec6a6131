/* A part file: the ranges of the arrays that one rank wrote. */
#ifndef LOCKSTEP_CHECKPOINT_PART_H
#define LOCKSTEP_CHECKPOINT_PART_H

#include "checkpoint/manifest.h"
#include "data/h5.h"

#include <stdbool.h>

/* Writes PATH (which must not exist), syncs it, and fills in `out`'s name, size and digest, and
 * how many ranges. `ranges` [range_count], ascending; `values`: theirs, one range's after the
 * other's. LS_FAILED where a value is not finite ("parameters: element 17 is not a finite number"),
 * too: such a state is worth nothing. */
int checkpoint_part_write(const char *folder, int rank, const char *id,
                          const checkpoint_array *arrays, const checkpoint_range *ranges,
                          int range_count, const float *values, checkpoint_part *out,
                          ls_error *error);

/* A part that is read. */
typedef struct part_reader {
    char path[4096];
    bool trusted; /* its digest is the manifest's */
    h5_object file;
} part_reader;

/* That there is one, of the size that the manifest has; LS_BAD_INPUT. No more of it is looked at.
 */
int part_find(part_reader *self, const char *folder, const checkpoint_part *part, ls_error *error);
/* Reads every byte of one that was found: LS_BAD_INPUT where its SHA-256 is another. */
int part_check_digest(part_reader *self, const checkpoint_part *part, ls_error *error);
/* Opens one that was found, if it is not open, and checks it against the manifest: its run, arrays,
 * ranges; LS_BAD_INPUT. Who has not checked its digest hands HDF5 anything. */
int part_open(part_reader *self, const checkpoint_manifest *manifest, const checkpoint_part *part,
              ls_error *error);
/* What of [first, first + count) of an array the part has, into out [count]; each block that is
 * touched is checked against its CRC-32C. */
int part_read(const part_reader *self, const checkpoint_manifest *manifest,
              const checkpoint_part *part, int array, int64_t first, int64_t count, float *out,
              ls_error *error);
void part_close(part_reader *self);

#endif
