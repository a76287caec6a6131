/* certificate.csv: what a run was fed and what came of it, for comparing runs step by step. A row a
 * step:
 *
 *   step               1, 2, ..., of the whole run
 *   epoch              1, 2, ...
 *   samples_hash       of the ids of the global batch's samples in order of position: the sum of
 *                      fingerprint_term(position, id), 16 hex digits; the same for any number of
 *                      ranks
 *   parameters_hash    of the bits of the parameters after that step (base/fingerprint.h), 16 hex
 *                      digits; empty where the step has none
 *   parameters_sketch  beside each hash: FINGERPRINT_BUCKETS words of 16 hex digits
 *
 * summary.csv holds what it is checked against: the number of steps, a hash of its bytes, and the
 * hash of the last parameters. */
#ifndef LOCKSTEP_REPORT_CERTIFICATE_FILE_H
#define LOCKSTEP_REPORT_CERTIFICATE_FILE_H

#include "base/error.h"
#include "base/fingerprint.h"
#include "report/finished_run.h"

#include <stdbool.h>
#include <stdint.h>

#define CERTIFICATE_FILE    "certificate.csv"
#define CERTIFICATE_VERSION 1 /* raised when a column or a hash changes its meaning */

/* Of one step that has a hash of the parameters. */
typedef struct certified_parameters {
    int64_t step;
    fingerprint print;
} certified_parameters;

typedef struct certificate {
    int64_t steps;
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

/* Whether the run wrote one, by its summary (with --certificate off and in older versions: none).
 */
bool certificate_expected(const finished_run *run);
/* Whether the file is there. */
bool certificate_exists(const finished_run *run);
/* LS_BAD_INPUT with a line that names the file: absent, cut, edited after the run, of another
 * version. */
int certificate_read(certificate *out, const finished_run *run, ls_error *error);
void certificate_free(certificate *self);

/* ||a - b|| and ||a|| of the parameters that two sketches are of, each with a standard error of 6%
 * (base/fingerprint.h). */
double sketch_distance(const fingerprint *a, const fingerprint *b);
double sketch_norm(const fingerprint *a);

#endif
