/* A run's certificate.csv (report/run/certificate_file.h), read back and held against its summary.
 */
#ifndef LOCKSTEP_REPORT_READ_CERTIFICATE_READ_H
#define LOCKSTEP_REPORT_READ_CERTIFICATE_READ_H

#include "report/read/finished_run.h"
#include "report/run/certificate_file.h"

/* Whether the run wrote one, by its summary (with --certificate off and in older versions: none).
 */
bool certificate_expected(const finished_run *run);
/* Whether the file is there. */
bool certificate_exists(const finished_run *run);
/* LS_BAD_INPUT with a line that names the file: absent, cut, edited after the run, of another
 * version. */
int certificate_read(certificate *out, const finished_run *run, ls_error *error);

/* ||a - b|| and ||a|| of the parameters that two sketches are of, each with a standard error of 6%
 * (base/fingerprint.h). */
double sketch_distance(const fingerprint *a, const fingerprint *b);
double sketch_norm(const fingerprint *a);

#endif
