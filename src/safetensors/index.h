/* HuggingFace's index of tensors in several files (the room's own). */
#ifndef LOCKSTEP_SAFETENSORS_INDEX_H
#define LOCKSTEP_SAFETENSORS_INDEX_H

#include "safetensors/safetensors.h"

typedef struct safetensors_index safetensors_index;

int safetensors_index_open(const char *path, safetensors_index **out, ls_error *error);
void safetensors_index_close(safetensors_index *self); /* NULL is fine */

/* The next file that is not checked yet, a name without a folder; NULL: all are. */
const char *safetensors_index_next(const safetensors_index *self);

/* The file `name`, which is open: each of its tensors, and no other, must be said to be there. What
 * was checked is taken out of the index. */
int safetensors_index_check(safetensors_index *self, const char *name, const safetensors *file,
                            ls_error *error);

#endif
