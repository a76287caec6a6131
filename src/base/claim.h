/* A folder that one process writes at a time. The claim is the file CLAIM_FILE in it, made by
 * link(2), which is atomic on network file systems too (open(2), O_EXCL), and says who holds it. It
 * is touched every CLAIM_BEAT_SECONDS and goes with an orderly end. What a killed process left is
 * taken over: where its process, or its Slurm step, is known to have ended, or where nothing is
 * known and it was not touched for CLAIM_SILENCE_SECONDS, by the file server's clock. */
#ifndef LOCKSTEP_BASE_CLAIM_H
#define LOCKSTEP_BASE_CLAIM_H

#include "base/error.h"

#define CLAIM_FILE "claim.txt"

enum { CLAIM_BEAT_SECONDS = 10, CLAIM_SILENCE_SECONDS = 180 };

typedef struct folder_claim folder_claim;

/* LS_BAD_INPUT where another process holds the folder, naming it. The folder must exist. Starts a
 * thread. */
int claim_take(const char *folder, folder_claim **out, ls_error *error);

/* LS_FAILED where another process has taken the folder over, as it may from one that was suspended
 * for long on another host: nothing more may be written there. Two system calls. NULL: LS_OK. */
int claim_check(const folder_claim *self, ls_error *error);

/* Removes the file, where it is still this process's. NULL is fine. */
void claim_release(folder_claim *self);

/* For the end of the process, from any thread: removes the file of every claim that is held. */
void claim_release_all(void);

#endif
