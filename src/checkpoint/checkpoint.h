/* Reading a checkpoint: nothing is believed before it was checked. Opening checks the manifest and
 * that every part is there, of its size. A part is opened when it is first read, after every byte
 * of it was compared with its digest, so that HDF5 sees no damaged file; reading checks each block
 * that it touches, too. One thread at a time (HDF5). */
#ifndef LOCKSTEP_CHECKPOINT_CHECKPOINT_H
#define LOCKSTEP_CHECKPOINT_CHECKPOINT_H

#include "checkpoint/folder.h"
#include "checkpoint/manifest.h"

typedef struct part_reader part_reader;

typedef struct checkpoint {
    char folder[4096];
    checkpoint_manifest manifest;
    part_reader *parts; /* [manifest.part_count], open */
} checkpoint;

/* What a user names: a checkpoint's folder; a folder of checkpoints, whose `last` is meant;
 * "DIR/last", "DIR/best". LS_BAD_INPUT where it is none of these. */
int checkpoint_resolve(const char *where, char *folder, size_t capacity, ls_error *error);

int checkpoint_open(checkpoint *self, const char *folder, ls_error *error);
void checkpoint_close(checkpoint *self); /* zero bytes are fine */

/* The SHA-256 of the parts number, number + every, number + 2 * every, ... (0, 1 for all), and that
 * they are of this run and have what the manifest says. */
int checkpoint_verify(const checkpoint *self, int number, int every, ls_error *error);
/* Of a checkpoint that ranks have verified together: each reads its own part of the bytes, and
 * takes the others' word for the rest. */
void checkpoint_trust(const checkpoint *self);

/* Elements [first, first + count) of an array, "parameters", "buffers", "moment1", "moment2",
 * "average", into out[count]. LS_BAD_INPUT where it has none of that name or is shorter. */
int checkpoint_read(const checkpoint *self, const char *array, int64_t first, int64_t count,
                    float *out, ls_error *error);

/* The tensors of the model, in its order: manifest.tensors [manifest.tensor_count]; each is a range
 * of "parameters" or "buffers", and the same range of the moments and the average is its. */
const checkpoint_tensor *checkpoint_find_tensor(const checkpoint *self, const char *name);

/* The first element that differs between two checkpoints, in the order of arrays and tensors. */
typedef struct checkpoint_difference {
    char array[32], tensor[CHECKPOINT_NAME_BYTES]; /* "" where the array has no tensor there */
    int64_t element;                               /* in the tensor; in the array without one */
    double first, second;                          /* values */
    int64_t different, compared;                   /* elements of all arrays */
    double largest;                                /* difference of any two */
} checkpoint_difference;

/* *out: `different` 0 where none does. LS_BAD_INPUT where their arrays are not alike. */
int checkpoint_compare(const checkpoint *a, const checkpoint *b, checkpoint_difference *out,
                       ls_error *error);

#endif
