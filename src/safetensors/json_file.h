/* Small JSON files that lie beside tensors: HuggingFace's and timm's config.json. A file is
 * believed in nothing: its size, depth and what it takes in memory are bounded. */
#ifndef LOCKSTEP_SAFETENSORS_JSON_FILE_H
#define LOCKSTEP_SAFETENSORS_JSON_FILE_H

#include "base/error.h"

#include <stdbool.h>
#include <stdint.h>

enum { JSON_FILE_MOST_BYTES = 1 << 24 };

typedef struct json_file json_file;

/* An object. LS_BAD_INPUT names file and fault; in a build without a JSON library all are refused.
 */
int json_file_open(const char *path, json_file **out, ls_error *error);
void json_file_close(json_file *self); /* NULL is fine */

/* Whether the object has a value of that name other than null. */
bool json_file_has(const json_file *self, const char *name);

/* Of that name and kind, a number within [minimum, maximum]; else LS_BAD_INPUT. A text is the
 * file's. */
int json_file_integer(const json_file *self, const char *name, int64_t minimum, int64_t maximum,
                      int64_t *out, ls_error *error);
int json_file_real(const json_file *self, const char *name, double minimum, double maximum,
                   double *out, ls_error *error);
int json_file_text(const json_file *self, const char *name, const char **out, ls_error *error);

#endif
