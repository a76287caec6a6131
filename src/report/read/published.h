/* Figures that others published, from a CSV file of the user's: rows that stand beside measured
 * ones. Columns: configuration, batch_per_rank, images_per_second, peak_memory_gb,
 * training_seconds, final_train_loss, test_accuracy, hardware, source. All must be there; a value
 * may be empty (it was not published), but for configuration and source. */
#ifndef LOCKSTEP_REPORT_READ_PUBLISHED_H
#define LOCKSTEP_REPORT_READ_PUBLISHED_H

#include "base/error.h"
#include "report/text/csv.h"

typedef struct published_row {
    const char *configuration, *hardware, *source; /* point into the table */
    /* NAN: not published. */
    double batch_per_rank, images_per_second; /* above 0; of all ranks together */
    double peak_memory_bytes;                 /* of a rank; above 0 */
    double training_seconds;                  /* above 0 */
    double final_train_loss;                  /* of the last epoch */
    double test_accuracy;                     /* in [0, 1], after it */
} published_row;

typedef struct published {
    csv_table table;
    published_row *rows; /* [count], in the file's order */
    size_t count;
} published;

/* LS_BAD_INPUT with one line that names the file: no CSV, a column missing or unknown, a row
 * without its configuration or source, a value that cannot be, no row. */
int published_read(published *out, const char *path, ls_error *error);
void published_free(published *self);

#endif
