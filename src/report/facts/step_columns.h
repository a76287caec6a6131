/* The columns of certificate.csv and of steps.csv, whose rows their writers format themselves:
 * there is one a step. */
#ifndef LOCKSTEP_REPORT_FACTS_STEP_COLUMNS_H
#define LOCKSTEP_REPORT_FACTS_STEP_COLUMNS_H

#include "report/facts/column.h"

/* In the order of certificate_columns. */
enum {
    CERTIFICATE_STEP,
    CERTIFICATE_EPOCH,
    CERTIFICATE_SAMPLES,
    CERTIFICATE_PARAMETERS,
    CERTIFICATE_SKETCH,
    CERTIFICATE_OTHERS, /* the first of what a run may keep beside its parameters */
    CERTIFICATE_AVERAGE = CERTIFICATE_OTHERS,
    CERTIFICATE_BUFFERS
};
extern const column_table certificate_columns;
extern const column_table step_columns;

#endif
