/* An open JSON file (the room's own). */
#ifndef LOCKSTEP_SAFETENSORS_JSON_PARTS_H
#define LOCKSTEP_SAFETENSORS_JSON_PARTS_H

#include "safetensors/json.h"
#include "safetensors/json_file.h"

struct json_file {
    char *path;
    json_t *root; /* an object */
};

#endif
