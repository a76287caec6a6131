/* Names of layers that a block of a model has. */
#ifndef LOCKSTEP_MODEL_LAYER_NAME_H
#define LOCKSTEP_MODEL_LAYER_NAME_H

#include <stdio.h>

typedef struct layer_name {
    char text[64];
} layer_name;

/* "layer1.0", "conv1" -> "layer1.0.conv1"; what is too long, the layer refuses. */
static inline layer_name name_of(const char *block, const char *part) {
    layer_name out;
    snprintf(out.text, sizeof out.text, "%s.%s", block, part);
    return out;
}

#endif
