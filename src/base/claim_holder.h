/* Who holds a claim (base/claim.h): as the file says it, and whether that process still runs. */
#ifndef LOCKSTEP_BASE_CLAIM_HOLDER_H
#define LOCKSTEP_BASE_CLAIM_HOLDER_H

#include "base/process.h"

#include <stddef.h>

enum { CLAIM_TEXT = 1024 };

typedef struct claim_holder {
    char host[64];
    process_id process;
    char job[32], step[32]; /* of Slurm; "" outside it, "" in a batch script */
    int attempt;            /* of the job: how often Slurm has requeued it */
    char since[40];         /* ISO 8601 with zone */
    char key[33];           /* random: no two claims have the same */
} claim_holder;

/* This process, with a new key. */
void claim_holder_own(claim_holder *out);

/* The file's text, a "name value" a line, and back. claim_holder_read leaves empty what is missing.
 */
size_t claim_holder_write(const claim_holder *self, char out[CLAIM_TEXT]);
void claim_holder_read(claim_holder *out, const char *text);

typedef enum { HOLDER_RUNS, HOLDER_ENDED, HOLDER_UNKNOWN } holder_state;

/* A process of this machine is looked for; of another one, Slurm is asked about its step, for 5 s
 * at most; HOLDER_UNKNOWN where neither says anything. */
holder_state claim_holder_look(const claim_holder *self);

/* "pid 4711 on host n3, Slurm job 12, since 2026-01-31T12:00:00+0000" */
void claim_holder_describe(const claim_holder *self, char *out, size_t capacity);

#endif
