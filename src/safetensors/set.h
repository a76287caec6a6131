/* The tensors of one file, or of the several that HuggingFace's index lists ("sharded"):
 * model.safetensors.index.json, an object whose "weight_map" says of each tensor in which file of
 * the same folder it is. Index and files must agree in every tensor. */
#ifndef LOCKSTEP_SAFETENSORS_SET_H
#define LOCKSTEP_SAFETENSORS_SET_H

#include "safetensors/safetensors.h"

typedef struct safetensors_set safetensors_set;

/* Whether `path` names one: FILE.safetensors, FILE.index.json, or a folder that holds
 * model.safetensors or model.safetensors.index.json. */
bool safetensors_set_is(const char *path);

/* All of that; of a folder with both, the one file. LS_BAD_INPUT names file and fault. */
int safetensors_set_open(const char *path, safetensors_set **out, ls_error *error);
void safetensors_set_close(safetensors_set *self); /* NULL is fine */

int safetensors_set_count(const safetensors_set *self);
/* In the order of their bytes in the order of the files. */
const safetensors_tensor *safetensors_set_at(const safetensors_set *self, int index);
/* NULL: none of that name. */
const safetensors_tensor *safetensors_set_find(const safetensors_set *self, const char *name);
/* A text of the first file's "__metadata__"; NULL: none of that name. */
const char *safetensors_set_about(const safetensors_set *self, const char *name);
/* As safetensors_read_floats; `tensor` is of the set. */
int safetensors_set_read_floats(const safetensors_set *self, const safetensors_tensor *tensor,
                                float *out, ls_error *error);

#endif
