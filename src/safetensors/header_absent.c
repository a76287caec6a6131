/* Of a build without jansson. */
#include "safetensors/header.h"

int safetensors_parse(const char *path, const char *text, size_t length, int64_t data_bytes,
                      size_t memory_bytes, safetensors_header *out, ls_error *error) {
    (void)text, (void)length, (void)data_bytes, (void)memory_bytes;
    *out = (safetensors_header){0};
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: this lockstep was built without jansson, which reads safetensors files "
                   "(-Dsafetensors=enabled)",
                   path);
}
