#include "model/model_options.h"

#include "base/precision.h"
#include "model/graph.h"

#include <stddef.h>
#include <stdlib.h>

#define AT(field) offsetof(model_options, field)

static const option options[] = {
    {"model", OPTION_CHOICE, AT(model), "NAME", "cnn", model_choices, 0, 0, "Train this model.",
     false},
    {"patch", OPTION_CHOICE, AT(patch), "N", NULL, MODEL_PATCH_CHOICES, 0, 0,
     "Cut images into patches of N x N pixels (a vision transformer; 16 without it).", false},
    {"precision", OPTION_CHOICE, AT(precision), "TYPE", "fp32", PRECISION_CHOICES, 0, 0,
     "Compute in this type; parameters and optimizer stay fp32; fp16 scales its loss.", false},
    {"zero-init-residual", OPTION_FLAG, AT(zero_init_residual), NULL, NULL, NULL, 0, 0,
     "Begin with residual branches that add nothing: the last norm of each has scale 0.", false},
    {0}};

int model_add_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Model and precision", options, offset}, error);
}

int model_check_options(model_options *self, ls_error *error) {
    if (!self->patch)
        return LS_OK;
    LS_TRY(model_vit_patch(self->model, atoi(self->patch), self->named, error));
    self->model = self->named;
    return LS_OK;
}
