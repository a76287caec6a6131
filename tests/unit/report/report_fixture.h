/* Runs that were never trained, written by the same code that writes real ones. */
#ifndef LOCKSTEP_UNIT_REPORT_REPORT_FIXTURE_H
#define LOCKSTEP_UNIT_REPORT_REPORT_FIXTURE_H

#include "base/text_buffer.h"
#include "report/run/run.h"
#include "report/text/table.h"

typedef struct fixture {
    run_facts facts;
    run_totals totals;
    epoch_record epochs[3];
    rank_facts ranks[4];
    rank_usage usage[4];
    const run_profile *profile; /* NULL: none was made */
} fixture;

/* A temporary folder that becomes the working directory, so that runs have short names. */
void fixture_enter_folder(void);
void fixture_leave_folder(void); /* removes it */

/* MODE at RANKS ranks on as many nodes, `batch_per_rank` images a rank, 3 epochs of 1,000 images
 * in `seconds`. */
void fixture_make(fixture *self, const char *mode, int ranks, int batch_per_rank, double seconds);

/* On GPUs, seen by a monitor: utilisation 0.5 and 0.75, 1000 and 1500 J, ... */
void fixture_on_gpus(fixture *self);

/* Where what a run prints goes: stdout.txt. */
extern const char *fixture_stdout;

/* Writes it into FOLDER with run_open .. run_close. */
int fixture_write(fixture *self, const char *folder, ls_error *error);

/* What `lockstep report --allow ALLOW --target-accuracy TARGET` (0: none) does with folders: its
 * tables go to *out, its lines (each with a line break) to *lines; its exit code. */
int fixture_report(const char *allow, double target, const char *const *folders, size_t count,
                   table_format format, text_buffer *out, text_buffer *lines);

/* report_changes.c: what may differ between runs: a change of a run, the name of --allow for it,
 * and how a report says it of a run `other` beside `single`. Ended by NULLs. */
typedef struct fixture_change {
    void (*change)(fixture *made);
    const char *allow, *expected;
} fixture_change;
extern const fixture_change fixture_changes[];

/* The text of a file; empty where there is none. */
text_buffer fixture_read(const char *path);

#endif
