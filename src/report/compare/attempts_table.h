/* The attempts at runs that were requeued: what each did with its time, and what was lost. */
#ifndef LOCKSTEP_REPORT_COMPARE_ATTEMPTS_TABLE_H
#define LOCKSTEP_REPORT_COMPARE_ATTEMPTS_TABLE_H

#include "report/compare/configuration.h"
#include "report/facts/attempt_columns.h"
#include "report/read/complaints.h"
#include "report/text/table.h"

/* A run of more than one attempt. */
typedef struct attempted_run {
    const finished_run *run;
    attempt_record *attempts; /* [count], owned */
    int count;
} attempted_run;

typedef struct attempted_runs {
    attempted_run *items; /* [count], owned */
    size_t count;
} attempted_runs;

/* Those of the configurations' runs. An attempts.csv that is no good is a complaint. */
int attempted_runs_read(attempted_runs *out, const configuration_list *configurations,
                        complaints *complaints, ls_error *error);
void attempted_runs_free(attempted_runs *self);

/* As text or Markdown, with its title; nothing where there is none. */
void attempts_table(text_buffer *out, const attempted_runs *self, table_format format);

#endif
