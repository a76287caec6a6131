/* Names of tensors in files of other programs (the room's own). A model's records are named as timm
 * and torchvision name them (graph.h); HuggingFace's ViT has others, each query, key and value a
 * tensor of its own, and a bare ViTModel's lack the "vit." in front. */
#ifndef LOCKSTEP_WEIGHTS_NAMES_H
#define LOCKSTEP_WEIGHTS_NAMES_H

#include "safetensors/set.h"

typedef enum {
    NAMING_OWN,             /* timm's, torchvision's */
    NAMING_HUGGINGFACE,     /* vit.encoder.layer.0..., classifier */
    NAMING_HUGGINGFACE_BARE /* encoder.layer.0... */
} weights_naming;

/* By what a set holds. */
weights_naming weights_naming_of(const safetensors_set *set);
/* For a line: "names as HuggingFace's". */
const char *weights_naming_text(weights_naming self);

enum { WEIGHTS_MOST_PARTS = 3, WEIGHTS_NAME_BYTES = 160 };

/* The tensors that a record of that name is made of, one behind the other along its first
 * dimension; returns how many. */
int weights_names(weights_naming self, const char *record,
                  char out[WEIGHTS_MOST_PARTS][WEIGHTS_NAME_BYTES]);

/* A tensor that such files have beside those of a classifier, which takes no part in it: the pooler
 * of a bare ViTModel. */
bool weights_names_spare(weights_naming self, const char *name);

#endif
