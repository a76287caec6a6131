/* certificate.csv: what a run was fed and what came of it, for comparing runs step by step. A row a
 * step (facts/step_columns.c): samples_hash is the sum of fingerprint_term(position, id) over the
 * global batch, parameters_hash base/fingerprint.h's of the parameters after that step, and
 * parameters_sketch FINGERPRINT_BUCKETS words of 16 hex digits. What a run may keep beside its
 * parameters has a column only where it does.
 *
 * summary.csv holds what it is checked against: the number of steps, a hash of its bytes, and the
 * hash of the last parameters. */
#ifndef LOCKSTEP_REPORT_RUN_CERTIFICATE_FILE_H
#define LOCKSTEP_REPORT_RUN_CERTIFICATE_FILE_H

#include "base/error.h"
#include "base/fingerprint.h"
#include "report/facts/files.h"

#include <stdbool.h>
#include <stdint.h>

/* What a run may keep beside its parameters, in the order of the columns. */
typedef enum { CERTIFIED_AVERAGE, CERTIFIED_BUFFERS, CERTIFIED_OTHERS } certified_other;

/* Of one step that has a hash of the parameters. */
typedef struct certified_parameters {
    int64_t step;
    fingerprint print;
    uint64_t others[CERTIFIED_OTHERS]; /* hashes */
} certified_parameters;

typedef struct certificate {
    int64_t steps;
    bool has[CERTIFIED_OTHERS];
    int *epochs;                      /* [steps], of step index + 1 */
    uint64_t *samples;                /* [steps] */
    certified_parameters *parameters; /* in the order of their steps */
    size_t parameter_count;
    size_t step_capacity, parameter_capacity;
} certificate;

/* Appends an epoch's steps; `parameters` count from the run's first step. */
int certificate_add_epoch(certificate *self, int epoch, const uint64_t *samples, int64_t count,
                          const certified_parameters *parameters, size_t parameter_count,
                          ls_error *error);
/* The whole file, atomically. `hash`: of its bytes, for the summary. */
int certificate_write(const certificate *self, const char *folder, char hash[17], ls_error *error);

void certificate_free(certificate *self);

#endif
