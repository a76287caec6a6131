/* The header of a file of tensors (the room's own). */
#ifndef LOCKSTEP_SAFETENSORS_HEADER_H
#define LOCKSTEP_SAFETENSORS_HEADER_H

#include "safetensors/safetensors.h"

typedef struct safetensors_header {
    safetensors_tensor *tensors; /* [count], in the order of their bytes; names are owned */
    int count;
    safetensors_text *about; /* [about_count], owned */
    int about_count;
} safetensors_header;

/* text[length]: the header of a file `path` whose tensors have `data_bytes` and which may cost
 * `memory_bytes` while it is read. */
int safetensors_parse(const char *path, const char *text, size_t length, int64_t data_bytes,
                      size_t memory_bytes, safetensors_header *out, ls_error *error);
void safetensors_header_free(safetensors_header *self); /* zero bytes are fine */

/* header_check.c: elements and bytes of each, the order, and that the ranges fill the file. */
int safetensors_check(const char *path, safetensors_header *self, int64_t data_bytes,
                      ls_error *error);

/* LS_OK and elements and bytes; LS_BAD_INPUT where they overflow. */
int safetensors_measure(safetensors_tensor *tensor);

/* -1: no such type. */
int safetensors_type_of(const char *name);

#endif
