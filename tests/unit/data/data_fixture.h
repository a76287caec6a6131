/* Small data sets for the tests of src/data: packed from generated images into a temporary folder,
 * and then damaged. */
#ifndef LOCKSTEP_UNIT_DATA_DATA_FIXTURE_H
#define LOCKSTEP_UNIT_DATA_DATA_FIXTURE_H

#include "base/error.h"

#include <stdint.h>

/* A temporary folder of this program, made once and removed by fixture_end(). */
const char *fixture_folder(void);
void fixture_end(void);

/* "FOLDER/NAME" in one of a few static buffers. */
const char *fixture_path(const char *folder, const char *name);

/* Packs 800 training images in 2 shards (each with two blocks of images: 400 x 3072 bytes) and 30
 * test images in 2, 32 x 32 and of 4 classes, into a fresh folder NAME. */
const char *fixture_pack(const char *name, uint64_t seed);

/* Damage to one file. `data set` names are "/images" and "/labels". */
void damage_flip(const char *path, const char *set, int64_t byte);
void damage_truncate(const char *path, int64_t bytes);
void damage_text(const char *path); /* no HDF5 at all */
void damage_copy(const char *from, const char *to);
/* Replaces a data set by one of another type or shape, without values. */
void damage_replace(const char *path, const char *set, int64_t type, int rank,
                    const unsigned long long *extent);
void damage_integer(const char *path, const char *attribute, int64_t value);

#endif
