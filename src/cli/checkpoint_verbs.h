/* What `lockstep checkpoint` can do: a verb a function, a line in checkpoint.c's list. */
#ifndef LOCKSTEP_CLI_CHECKPOINT_VERBS_H
#define LOCKSTEP_CLI_CHECKPOINT_VERBS_H

#include "base/error.h"

typedef struct checkpoint_verb {
    const char *name;
    int operands; /* after the verb */
    int (*run)(char **operands, ls_error *error);
} checkpoint_verb;

/* checkpoint_weights.c: CHECKPOINT FILE.safetensors; FILE.safetensors MODEL DATA DIR */
int checkpoint_verb_export(char **operands, ls_error *error);
int checkpoint_verb_import(char **operands, ls_error *error);

#endif
