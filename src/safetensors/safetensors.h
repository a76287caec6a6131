/* Files of tensors as the safetensors package of Hugging Face defines them: eight bytes that say
 * how long the header is (little-endian), a header in JSON (name -> type, shape, where its bytes
 * are; "__metadata__": texts), the tensors' bytes, little-endian, row-major.
 *
 * A file is believed in nothing. Opening checks the header against the file's size before anything
 * that a number of it asks for is allocated or read: ranges that overlap, leave holes or end
 * elsewhere than the file, sizes that overflow, names that stand twice, types that nobody knows.
 * Memory stays below twice the file's size and a MiB, and what the tensors' own table takes. */
#ifndef LOCKSTEP_SAFETENSORS_SAFETENSORS_H
#define LOCKSTEP_SAFETENSORS_SAFETENSORS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    SAFETENSORS_DIMS = 8,
    SAFETENSORS_MOST_HEADER = 100000000 /* bytes; the package's own limit */
};

typedef enum {
    SAFETENSORS_BOOL,
    SAFETENSORS_U8,
    SAFETENSORS_I8,
    SAFETENSORS_U16,
    SAFETENSORS_I16,
    SAFETENSORS_U32,
    SAFETENSORS_I32,
    SAFETENSORS_U64,
    SAFETENSORS_I64,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_F32,
    SAFETENSORS_F64,
    SAFETENSORS_TYPES
} safetensors_type;

typedef struct safetensors_tensor {
    const char *name; /* UTF-8 */
    safetensors_type type;
    int dim_count; /* 0: one number */
    int64_t dims[SAFETENSORS_DIMS];
    int64_t elements;
    int64_t first, bytes; /* in the tensors' part of the file */
} safetensors_tensor;

size_t safetensors_type_bytes(safetensors_type type);
const char *safetensors_type_name(safetensors_type type);

/* --- reading */

typedef struct safetensors safetensors;

/* LS_BAD_INPUT names file and fault; in a build without a JSON library all files are refused. */
int safetensors_open(const char *path, safetensors **out, ls_error *error);
void safetensors_close(safetensors *self); /* NULL is fine */

int safetensors_count(const safetensors *self);
/* In the order of their bytes. */
const safetensors_tensor *safetensors_at(const safetensors *self, int index);
/* NULL: none of that name. */
const safetensors_tensor *safetensors_find(const safetensors *self, const char *name);
/* A text of "__metadata__"; NULL: none of that name. */
const char *safetensors_about(const safetensors *self, const char *name);

/* A tensor of floating-point numbers, each rounded to the nearest, into out[elements];
 * LS_BAD_INPUT where it is one of integers. */
int safetensors_read_floats(const safetensors *self, const safetensors_tensor *tensor, float *out,
                            ls_error *error);
/* A tensor of integers or truth values; LS_BAD_INPUT where a value does not fit. */
int safetensors_read_integers(const safetensors *self, const safetensors_tensor *tensor,
                              int64_t *out, ls_error *error);

/* --- writing */

typedef struct safetensors_text {
    const char *name, *text;
} safetensors_text;

typedef struct safetensors_writer safetensors_writer;

/* Writes the header for tensors[count], of which names, types and dims are given, whose bytes come
 * in this order. The file has its name only once it is whole. */
int safetensors_create(const char *path, const safetensors_tensor *tensors, int count,
                       const safetensors_text *about, int about_count, safetensors_writer **out,
                       ls_error *error);
/* The next bytes of the tensors, as many at once as the caller likes. */
int safetensors_put(safetensors_writer *self, const void *bytes, size_t count, ls_error *error);
/* Fails, too, where other than all bytes were put. The writer is gone afterwards. */
int safetensors_finish(safetensors_writer *self, ls_error *error);
/* Instead of finish: nothing is left. NULL is fine. */
void safetensors_give_up(safetensors_writer *self);

#endif
