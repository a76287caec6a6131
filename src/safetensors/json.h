/* JSON of strangers (the room's own): within a bound of memory, with no name twice. */
#ifndef LOCKSTEP_SAFETENSORS_JSON_H
#define LOCKSTEP_SAFETENSORS_JSON_H

#include "base/error.h"

#include <jansson.h>
#include <stddef.h>

/* A name as a line may show it. */
typedef struct json_shown {
    char text[256];
} json_shown;
json_shown json_show(const char *name);

/* text[length], which may cost `memory_bytes` while it is read. NULL: LS_BAD_INPUT says "PATH:
 * WHAT's JSON, byte N: ...". The caller's reference. */
json_t *json_parse(const char *path, const char *what, const char *text, size_t length,
                   size_t memory_bytes, ls_error *error);

#endif
