/* attempts.csv: what each attempt at a run did with its time. A run that is killed says nothing any
 * more, so the row of the attempt that runs is kept on the disk, about a second old, and the next
 * attempt completes it. Rank 0's; every function takes a NULL self and does nothing. */
#ifndef LOCKSTEP_REPORT_RUN_ATTEMPTS_H
#define LOCKSTEP_REPORT_RUN_ATTEMPTS_H

#include "report/facts/attempt_columns.h"

#include <stdbool.h>

typedef struct attempts attempts;

/* Reads what is in the folder, where this attempt `goes_on` from a checkpoint, or would where there
 * was one, or is of the same Slurm job as one that is listed; else the file begins anew. `first` is
 * the new row, whose number is filled in. A file that cannot be read is begun anew, too, for it is
 * no part of the result: `unread` says why, else it is empty. The folder is claimed. One run a
 * process. */
int attempts_open(const char *folder, const attempt_record *first, bool goes_on, attempts **out,
                  ls_error *unread, ls_error *error);

/* True where the row on the disk is more than a second old. */
bool attempts_due(const attempts *self);
/* The row as it is now, at the cost of a small write without waiting for the disk; a failure is no
 * matter, the next one may succeed. */
void attempts_beat(attempts *self, const attempt_record *now);
/* The last word: `why` stands in the row, and the file is on the disk. */
int attempts_end(attempts *self, const attempt_record *now, const char *why, ls_error *error);
attempt_sums attempts_total(const attempts *self);

/* From the lifeline's thread, when the process is about to leave with `code`: why, as far as that
 * tells. It waits for nobody. */
void attempts_leave(int code);

void attempts_close(attempts *self); /* NULL is fine */

#endif
