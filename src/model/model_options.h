/* What a user chooses of the network: its model, and the type that it computes in. */
#ifndef LOCKSTEP_MODEL_MODEL_OPTIONS_H
#define LOCKSTEP_MODEL_MODEL_OPTIONS_H

#include "base/option.h"
#include "model/graph.h"

#include <stdbool.h>

/* Of --patch, --pool and --gelu. */
#define MODEL_PATCH_CHOICES "4|8|14|16|32"
#define MODEL_POOL_CHOICES  "class|mean"
#define MODEL_GELU_CHOICES  "erf|tanh"
/* Of --dropout and --drop-path, at most. */
#define MODEL_MOST_DROPS 0.99

typedef struct model_options {
    const char *model;       /* as model_build knows it */
    const char *patch;       /* the side of its patches; NULL: as the model's name says */
    const char *pool, *gelu; /* vit_form's; NULL: as the model's name says */
    model_drops drops;
    const char *precision; /* of PRECISION_CHOICES (precision_of) */
    const char *recompute; /* of RECOMPUTE_CHOICES */
    bool zero_init_residual;
    char named[MODEL_NAME_BYTES]; /* what model points to, once one of them has changed it */
} model_options;

/* The group of a command whose settings hold a model_options at `offset`. */
int model_add_options(option_groups *list, size_t offset, ls_error *error);

/* Changes the model's name to that of the one with such patches, pooling and GELU. LS_BAD_INPUT
 * where it has none. */
int model_check_options(model_options *self, ls_error *error);

#endif
