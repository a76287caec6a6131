/* A model's weights as folders that other programs load by themselves.
 *
 * HuggingFace's: model.safetensors, config.json, preprocessor_config.json, for
 * transformers.ViTForImageClassification.from_pretrained and AutoImageProcessor. timm's:
 * model.safetensors and config.json, for timm.create_model("local-dir:FOLDER", pretrained=True);
 * its model.safetensors alone is what load_state_dict takes. */
#ifndef LOCKSTEP_WEIGHTS_EXPORT_H
#define LOCKSTEP_WEIGHTS_EXPORT_H

#include "weights/checkpoint_weights.h"
#include "weights/weights.h"

#define WEIGHTS_FORMATS "timm|huggingface"

/* What is written, whose memory is the caller's. */
typedef struct weights_export {
    const graph *graph;
    const weights_model *model;
    const safetensors_text *about; /* [about_count]: what the file says of itself */
    int about_count;
    int64_t batches; /* weights_save */
    const float *parameters, *buffers;
} weights_export;

/* `format`: of WEIGHTS_FORMATS. The folder is made where it is not there; the weights are written
 * last. LS_BAD_INPUT where the format has no such model. */
int weights_export_folder(const weights_export *self, const char *format, const char *folder,
                          ls_error *error);

#endif
