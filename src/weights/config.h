/* What a config.json says of the weights beside it (the room's own): HuggingFace's of a ViT
 * ("model_type": "vit"), timm's ("architecture": "vit_small_patch16_224"). */
#ifndef LOCKSTEP_WEIGHTS_CONFIG_H
#define LOCKSTEP_WEIGHTS_CONFIG_H

#include "base/error.h"

/* What HuggingFace's ViTConfig has where nothing is said. */
#define WEIGHTS_HUGGINGFACE_EPSILON 1e-12

typedef struct weights_config {
    char model[64]; /* as --model has it; "": it does not say */
    double epsilon; /* of layer norms; 0: the model's own */
} weights_config;

/* LS_BAD_INPUT where it describes a model that is none of ours: another size, another activation.
 */
int weights_config_read(const char *path, weights_config *out, ls_error *error);

#endif
