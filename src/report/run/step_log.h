/* steps.csv: the mean loss of every step, for comparing runs step by step. Rank 0 writes it. */
#ifndef LOCKSTEP_REPORT_RUN_STEP_LOG_H
#define LOCKSTEP_REPORT_RUN_STEP_LOG_H

#include "base/error.h"

#include <stdint.h>

typedef struct step_log step_log;

/* What was logged of steps 1, 2, ...: [count]. */
typedef struct logged_steps {
    int64_t count;
    int64_t *epochs;
    double *losses;
} logged_steps;

/* write = 0 (another rank): a log that takes lines and keeps none. `past`: of earlier attempts at
 * the run, copied; NULL: none. */
int step_log_open(const char *folder, int write, const logged_steps *past, step_log **out,
                  ls_error *error);
int step_log_add(step_log *self, int64_t step, int epoch, double loss, ls_error *error);
/* So far; the log's. */
const logged_steps *step_log_steps(const step_log *self);
/* Puts the file in place. */
int step_log_finish(step_log *self, ls_error *error);
void step_log_close(step_log *self); /* NULL is fine; what was not finished is discarded */

#endif
