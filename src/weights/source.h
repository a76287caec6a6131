/* Weights of other programs, before they are read: safetensors, as one file or as the files of
 * HuggingFace's index, or a folder of these; and what they say of their model, in "__metadata__" or
 * in a config.json beside them. */
#ifndef LOCKSTEP_WEIGHTS_SOURCE_H
#define LOCKSTEP_WEIGHTS_SOURCE_H

#include "safetensors/set.h"
#include "weights/names.h"

typedef struct weights_source {
    char path[4096]; /* as it was named */
    safetensors_set *tensors;
    weights_naming naming;
    char model[64]; /* as --model has it; "": they do not say */
    double epsilon; /* of its layer norms; 0: the model's own */
} weights_source;

/* True for names of what this room reads and no other: files by their end (those of torch.save,
 * too, which weights_source_open refuses), folders by what they hold. */
bool weights_source_is(const char *path);

/* Headers alone are read and checked. LS_BAD_INPUT names what is wrong; of a pickle of PyTorch's
 * (.bin, .pth, .pt), which is never read, it says in Python how to convert it. */
int weights_source_open(const char *path, weights_source *out, ls_error *error);
void weights_source_close(weights_source *self); /* zero bytes are fine */

#endif
