/* What a run puts into its event file: its header as a text; at the end of each epoch the values of
 * epochs.csv; with --step-log the loss of every step. A step of TensorBoard is an update.
 * Every function takes a NULL self and does nothing. */
#ifndef LOCKSTEP_REPORT_RUN_EVENTS_RUN_H
#define LOCKSTEP_REPORT_RUN_EVENTS_RUN_H

#include "base/error.h"
#include "report/facts/records.h"

/* Of the header's text, which comes first. */
#define RUN_EVENTS_FIRST_TAG "run/header"

typedef struct run_events run_events;

/* Begins the file in the run's folder. */
int run_events_open(const char *folder, const run_facts *facts, run_events **out, ls_error *error);
int run_events_step(run_events *self, int64_t step, double loss, ls_error *error);
/* And hands everything to the file, where a TensorBoard that is watching finds it. */
int run_events_epoch(run_events *self, const epoch_record *epoch, ls_error *error);
/* The file's name in the folder. */
const char *run_events_name(const run_events *self);
void run_events_close(run_events *self);

#endif
