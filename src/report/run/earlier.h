/* What an earlier attempt at a run, one that did not finish, left in its folder. */
#ifndef LOCKSTEP_REPORT_RUN_EARLIER_H
#define LOCKSTEP_REPORT_RUN_EARLIER_H

/* Where the folder holds an unfinished run (epochs.csv), removes its files that the new one may
 * not write itself (steps.csv of a run with --step-log) or would write beside (its event file, by
 * which TensorBoard would show its points too). Other programs' event files stay, and so does what
 * cannot be removed. Before the new run's first file; the folder is claimed. */
void earlier_remove(const char *folder);

#endif
