/* A small checkpoint of two ranks on the disk. */
#ifndef LOCKSTEP_TESTS_CHECKPOINT_FIXTURE_H
#define LOCKSTEP_TESTS_CHECKPOINT_FIXTURE_H

#include "checkpoint/checkpoint.h"

enum { FIXTURE_PARAMETERS = 300000, FIXTURE_BUFFERS = 7 };

/* Element `at` of array `array` (0 parameters, 1 moment1, 2 buffers). */
float fixture_value(int array, int64_t at);

/* Writes a checkpoint of step `step` and save `serial` into `dir`, by two ranks, of which both hold
 * the parameters and the buffers, and rank 1 alone the moment. `damage`: 0; 1: a value is not
 * finite; 2: two values are greater by 1. `name`: what it was published as. */
int fixture_write(const char *dir, int64_t serial, int64_t step, int damage,
                  char name[CHECKPOINT_FOLDER_BYTES], ls_error *error);

/* A new folder of this test's own. */
const char *fixture_folder(char out[64]);

#endif
