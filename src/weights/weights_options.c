#include "weights/weights_options.h"

#include <stddef.h>

#define AT(field) offsetof(weights_options, field)

static const option options[] = {
    {"init", OPTION_TEXT, AT(init), "FROM", NULL, NULL, 0, 0,
     "Begin with these weights: FILE.safetensors, a folder as HuggingFace's, or a checkpoint.",
     false},
    {"init-partial", OPTION_FLAG, AT(partial), NULL, NULL, NULL, 0, 0,
     "Begin with what of --init fits the model, the rest random.", false},
    {0}};

int weights_add_options(option_groups *list, size_t offset, ls_error *error) {
    return option_add_group(list, (option_group){"Model and precision", options, offset}, error);
}

int weights_check_options(const weights_options *self, ls_error *error) {
    if (self->partial && !self->init)
        return ls_fail(error, LS_BAD_INPUT,
                       "--init-partial: expected --init beside it, found none");
    return LS_OK;
}
