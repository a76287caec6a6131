/* Where one step's time went, by layer and phase, against what it could not be faster than:
 * layers.csv and the table at the end of a run with --profile. */
#ifndef LOCKSTEP_REPORT_RUN_LAYER_TABLE_H
#define LOCKSTEP_REPORT_RUN_LAYER_TABLE_H

#include "base/error.h"
#include "base/text_buffer.h"
#include "report/facts/layer_row.h"

#include <stddef.h>

/* What the rows are measured against. */
typedef struct layer_rates {
    double flop_per_second;  /* of a large matrix product in the run's precision */
    double bytes_per_second; /* of a large copy: read plus written */
    int steps;               /* profiled */
    double step_seconds;     /* a whole step: the median over them */
} layer_rates;

/* Written atomically into a run's folder. */
int layer_table_write(const char *folder, const layer_row *rows, size_t count, ls_error *error);

/* For people, with the sum of the rows beside the measured step. */
void layer_table_text(text_buffer *out, const layer_row *rows, size_t count,
                      const layer_rates *rates);

#endif
