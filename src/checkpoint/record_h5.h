/* A record as a group of an HDF5 file: a data set a value (data/CHECKPOINTS.md). */
#ifndef LOCKSTEP_CHECKPOINT_RECORD_H5_H
#define LOCKSTEP_CHECKPOINT_RECORD_H5_H

#include "checkpoint/record.h"
#include "data/h5.h"

/* The group `name` of the open file; negative on failure (h5_fail). */
int record_write(hid_t file, const char *name, const record *self);

/* The group `where` of a file, "/state". LS_BAD_INPUT names what of it is not as it must be; links
 * that lead elsewhere, types, sizes and storage that no writer of this format makes are refused
 * before anything is read. */
int record_read(const h5_object *file, const char *where, record *out, ls_error *error);

#endif
