/* Of a build without jansson: nothing is read. */
#include "safetensors/header.h"
#include "safetensors/index.h"
#include "safetensors/json_file.h"

static int refuse(const char *path, ls_error *error) {
    return ls_fail(error, LS_BAD_INPUT,
                   "%s: this lockstep was built without jansson, which reads safetensors files "
                   "(-Dsafetensors=enabled)",
                   path);
}

int safetensors_parse(const char *path, const char *text, size_t length, int64_t data_bytes,
                      size_t memory_bytes, safetensors_header *out, ls_error *error) {
    (void)text, (void)length, (void)data_bytes, (void)memory_bytes;
    *out = (safetensors_header){0};
    return refuse(path, error);
}

int safetensors_index_open(const char *path, safetensors_index **out, ls_error *error) {
    *out = NULL;
    return refuse(path, error);
}

void safetensors_index_close(safetensors_index *self) {
    (void)self;
}

const char *safetensors_index_next(const safetensors_index *self) {
    (void)self;
    return NULL;
}

int safetensors_index_check(safetensors_index *self, const char *name, const safetensors *file,
                            ls_error *error) {
    (void)self, (void)file;
    return refuse(name, error);
}

int json_file_open(const char *path, json_file **out, ls_error *error) {
    *out = NULL;
    return refuse(path, error);
}

void json_file_close(json_file *self) {
    (void)self;
}

bool json_file_has(const json_file *self, const char *name) {
    (void)self, (void)name;
    return false;
}

int json_file_integer(const json_file *self, const char *name, int64_t minimum, int64_t maximum,
                      int64_t *out, ls_error *error) {
    (void)self, (void)minimum, (void)maximum, (void)out;
    return refuse(name, error);
}

int json_file_real(const json_file *self, const char *name, double minimum, double maximum,
                   double *out, ls_error *error) {
    (void)self, (void)minimum, (void)maximum, (void)out;
    return refuse(name, error);
}

int json_file_text(const json_file *self, const char *name, const char **out, ls_error *error) {
    (void)self, (void)out;
    return refuse(name, error);
}
