/* A step on a batch that lies in the test, for tests of modes: after comm_fixture_open. */
#ifndef LOCKSTEP_UNIT_MODE_MODE_FIXTURE_H
#define LOCKSTEP_UNIT_MODE_MODE_FIXTURE_H

#include "mode/mode.h"

/* Ends the job with `error` (comm_fixture.h) unless status is LS_OK. */
void must(int status);

/* A global batch, the same on every rank. */
typedef struct test_batch {
    const batch_maker *maker;
    const uint8_t *images;
    size_t image_bytes;
    const int32_t *labels;
    const int64_t *ids;
} test_batch;

/* On this rank's share of the first `global_count` samples: forward and loss of each micro-batch,
 * and in training all up to the final gradient. */
void mode_test_step(mode *mode, const test_batch *from, int64_t global_count, bool training);

#endif
