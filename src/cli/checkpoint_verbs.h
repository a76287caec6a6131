/* What `lockstep checkpoint` can do: a verb a function, a line in checkpoint.c's list. */
#ifndef LOCKSTEP_CLI_CHECKPOINT_VERBS_H
#define LOCKSTEP_CLI_CHECKPOINT_VERBS_H

#include "base/error.h"

typedef struct checkpoint_settings {
    const char *format; /* of WEIGHTS_FORMATS; NULL: names as PyTorch's, in one file */
} checkpoint_settings;

typedef struct checkpoint_verb {
    const char *name;
    int operands; /* after the verb */
    int (*run)(char **operands, const checkpoint_settings *settings, ls_error *error);
} checkpoint_verb;

/* checkpoint_weights.c: CHECKPOINT FILE.safetensors|DIR; FILE.safetensors|DIR MODEL DATA DIR */
int checkpoint_verb_export(char **operands, const checkpoint_settings *settings, ls_error *error);
int checkpoint_verb_import(char **operands, const checkpoint_settings *settings, ls_error *error);

#endif
