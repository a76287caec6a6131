#include "model/model_options.h"

#include "base/precision.h"
#include "model/graph.h"
#include "model/network.h"

#include <stddef.h>
#include <stdlib.h>

#define AT(field) offsetof(model_options, field)

static const option options[] = {
    {"model", OPTION_CHOICE, AT(model), "NAME", "cnn", model_choices, 0, 0, "Train this model.",
     false},
    {"patch", OPTION_CHOICE, AT(patch), "N", NULL, MODEL_PATCH_CHOICES, 0, 0,
     "Cut images into patches of N x N pixels (a vision transformer; 16 without it).", false},
    {"pool", OPTION_CHOICE, AT(pool), "WHAT", NULL, MODEL_POOL_CHOICES, 0, 0,
     "Give a vision transformer's head the class token, as without it, or the mean of all others.",
     false},
    {"gelu", OPTION_CHOICE, AT(gelu), "FORM", NULL, MODEL_GELU_CHOICES, 0, 0,
     "Compute a vision transformer's GELU by erf, as without it, or by its approximation.", false},
    {"dropout", OPTION_REAL, AT(drops.dropout), "P", "0", NULL, 0, MODEL_MOST_DROPS,
     "In training, set elements of a vision transformer's tokens to 0 with the probability P: "
     "embedded, and behind each linear layer but queries, keys and values.",
     false},
    {"drop-path", OPTION_REAL, AT(drops.path), "P", "0", NULL, 0, MODEL_MOST_DROPS,
     "In training, leave a vision transformer's branches out, a sample at a time, with a "
     "probability that grows from 0 in the first block to P in the last (stochastic depth).",
     false},
    {"precision", OPTION_CHOICE, AT(precision), "TYPE", "fp32", PRECISION_CHOICES, 0, 0,
     "Compute in this type; parameters and optimizer stay fp32; fp16 scales its loss.", false},
    {"recompute", OPTION_CHOICE, AT(recompute), "WHAT", "cheap", RECOMPUTE_CHOICES, 0, 0,
     "Compute again in backward instead of keeping: what is cheap to make, or all of a block.",
     false},
    {"zero-init-residual", OPTION_FLAG, AT(zero_init_residual), NULL, NULL, NULL, 0, 0,
     "Begin with residual branches that add nothing: the last norm of each has scale 0.", false},
    {0}};

int model_add_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Model and precision", options, offset}, error);
}

int model_check_options(model_options *self, ls_error *error) {
    vit_form wanted = {
        .side = self->patch ? atoi(self->patch) : 0, .pool = self->pool, .gelu = self->gelu};
    if (!self->patch && !self->pool && !self->gelu)
        return LS_OK;
    LS_TRY(model_vit_like(self->model, &wanted, self->named, error));
    self->model = self->named;
    return LS_OK;
}
