/* The JSON files beside exported weights (the room's own). */
#ifndef LOCKSTEP_WEIGHTS_CONFIG_WRITE_H
#define LOCKSTEP_WEIGHTS_CONFIG_WRITE_H

#include "base/text_buffer.h"
#include "weights/checkpoint_weights.h"

/* config.json of transformers' ViTForImageClassification. LS_BAD_INPUT where the model is no vision
 * transformer. */
int config_huggingface(const weights_model *model, text_buffer *out, ls_error *error);
/* preprocessor_config.json of its ViTImageProcessor: resized to the model's size, bilinear. */
void config_preprocessor(const weights_model *model, text_buffer *out);
/* timm's config.json. LS_BAD_INPUT where timm has no such model. */
int config_timm(const weights_model *model, text_buffer *out, ls_error *error);

#endif
