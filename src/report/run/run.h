/* What a run leaves behind: the log (stdout and log.txt), epochs.csv, ranks.csv and summary.csv,
 * made from the records of facts/records.h. Nothing here measures. */
#ifndef LOCKSTEP_REPORT_RUN_RUN_H
#define LOCKSTEP_REPORT_RUN_RUN_H

#include "base/error.h"
#include "base/span.h"
#include "report/facts/records.h"
#include "report/run/layer_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct run run;

/* What earlier attempts at the run left behind, of which a new one goes on. Texts are never NULL.
 */
typedef struct run_past {
    const epoch_record *epochs; /* [epoch_count] that ended */
    int epoch_count;
    const char *log;   /* log.txt */
    const char *ranks; /* rows of ranks.csv; "": there are none, or of other ranks */
} run_past;

/* Rank 0 only writes; on other ranks every call is a no-op: *out is NULL where `facts` is NULL, and
 * every function takes a NULL self. Creates the folder; refuses (LS_BAD_INPUT) one that already
 * holds a summary.csv. Tries a write at once so that an unusable place is known before training:
 * one that cannot be written to is LS_BAD_INPUT too, a full disk LS_FAILED, then as later. `facts`
 * is copied. With `past` (NULL: none) the files begin with what stands in it, and a summary.csv
 * that is there goes: the run has more epochs now. */
int run_open(const char *folder, const run_facts *facts, const run_past *past, run **out,
             ls_error *error);
/* What a run_past is made of: epochs.csv, log.txt, and the rows of ranks.csv, as they are now. */
int run_remember(run *self, text_buffer *epochs, text_buffer *log, text_buffer *ranks,
                 ls_error *error);
/* The folder holds a whole run's results. */
bool run_is_finished(const char *folder);
int run_header(run *self, ls_error *error);
/* True where a progress line may be drawn now: ask before reading a loss for it. */
bool run_wants_progress(const run *self);
/* On a terminal only, at most 10 times a second: "epoch 2/10  step 310/782  loss 0.71  ...". */
void run_progress(run *self, int epoch, int64_t step, int64_t steps, double images_per_second,
                  double loss);
/* One line in the log, one row in epochs.csv (base/row_file.h). */
int run_epoch(run *self, const epoch_record *epoch, ls_error *error);
/* The mean loss of an update (1, 2, ...), for the event file alone: kept in memory for now. */
int run_step(run *self, int64_t step, double loss, ls_error *error);
/* A line for the log only. */
int run_note(run *self, ls_error *error, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
typedef struct run_profile {
    const span *spans; /* [span_count], of all ranks, in one clock */
    size_t span_count;
    int64_t lost;               /* spans that there was no room for */
    double uncertainty_seconds; /* of one rank's clock against another's */
    const layer_row *rows;      /* [row_count] */
    size_t row_count;
    layer_rates rates;
    bool eager; /* the run's other steps were replayed from graphs */
} run_profile;

/* trace.json, layers.csv, and a table of them. */
int run_write_profile(run *self, const run_profile *profile, ls_error *error);
/* Closing table, ranks.csv (where the epochs had `ranks`), summary.csv. The run is complete only
 * when summary.csv exists. */
int run_finish(run *self, const run_totals *totals, ls_error *error);
void run_close(run *self);

#endif
