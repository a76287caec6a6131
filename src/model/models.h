/* The models: a function each that builds a graph and returns the logits' tensor. A new model is a
 * file with such a function and a line in models.c. */
#ifndef LOCKSTEP_MODEL_MODELS_H
#define LOCKSTEP_MODEL_MODELS_H

#include "model/layers.h"

int model_cnn(graph *g, int height, int width, int channels, int classes);
int model_resnet18(graph *g, int height, int width, int channels, int classes);
int model_resnet34(graph *g, int height, int width, int channels, int classes);
int model_resnet50(graph *g, int height, int width, int channels, int classes);
int model_resnet18_small(graph *g, int height, int width, int channels, int classes);

/* Vision transformers, by size and side of their patches: "vit-ti8". False: the name is of none. */
bool model_vit(graph *g, const char *name, const model_drops *drops, int height, int width,
               int channels, int classes, int *logits);

#endif
