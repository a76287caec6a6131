#include "base/transfer.h"
#include "safetensors/json_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SPARE_BYTES = 1 << 20, TIMES_BYTES = 4 }; /* what values may take over their text */

static int check_file(const char *path, int file, size_t *size, ls_error *error) {
    struct stat found;
    if (fstat(file, &found) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", path);
    if (!S_ISREG(found.st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a JSON file, found no file", path);
    if (found.st_size > JSON_FILE_MOST_BYTES)
        return ls_fail(error, LS_BAD_INPUT, "%s: a JSON file of %lld bytes (at most %d are read)",
                       path, (long long)found.st_size, JSON_FILE_MOST_BYTES);
    *size = (size_t)found.st_size;
    return LS_OK;
}

static int read_text(json_file *self, int file, ls_error *error) {
    size_t size = 0;
    LS_TRY(check_file(self->path, file, &size, error));
    char *text = malloc(size + 1);
    if (!text)
        return ls_fail(error, LS_FAILED, "out of memory");
    int status = LS_OK;
    ssize_t got = read_whole(file, text, size);
    if (got < 0)
        status = ls_fail_errno(error, LS_BAD_INPUT, "%s: cannot read", self->path);
    else
        self->root = json_parse(self->path, "the file", text, (size_t)got,
                                size * TIMES_BYTES + SPARE_BYTES, error);
    free(text);
    LS_TRY(status);
    if (self->root && !json_is_object(self->root))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a JSON object", self->path);
    return self->root ? LS_OK : LS_BAD_INPUT;
}

int json_file_open(const char *path, json_file **out, ls_error *error) {
    json_file *self = calloc(1, sizeof *self);
    if (!self || !(self->path = strdup(path))) {
        free(self);
        return ls_fail(error, LS_FAILED, "out of memory");
    }
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    int status = file >= 0 ? read_text(self, file, error)
                           : ls_fail_errno(error, LS_BAD_INPUT, "%s: expected a JSON file", path);
    if (file >= 0)
        close(file);
    if (status == LS_OK)
        *out = self;
    else
        json_file_close(self);
    return status;
}

void json_file_close(json_file *self) {
    if (!self)
        return;
    json_decref(self->root);
    free(self->path);
    free(self);
}

bool json_file_has(const json_file *self, const char *name) {
    const json_t *value = json_object_get(self->root, name);
    return value && !json_is_null(value);
}

int json_file_integer(const json_file *self, const char *name, int64_t minimum, int64_t maximum,
                      int64_t *out, ls_error *error) {
    const json_t *value = json_object_get(self->root, name);
    if (!json_is_integer(value) || json_integer_value(value) < minimum ||
        json_integer_value(value) > maximum)
        return ls_fail(error, LS_BAD_INPUT, "%s: expected \"%s\": an integer from %lld to %lld",
                       self->path, name, (long long)minimum, (long long)maximum);
    *out = (int64_t)json_integer_value(value);
    return LS_OK;
}

int json_file_real(const json_file *self, const char *name, double minimum, double maximum,
                   double *out, ls_error *error) {
    const json_t *value = json_object_get(self->root, name);
    if (!json_is_number(value) ||
        !(json_number_value(value) >= minimum && json_number_value(value) <= maximum))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected \"%s\": a number from %g to %g",
                       self->path, name, minimum, maximum);
    *out = json_number_value(value);
    return LS_OK;
}

int json_file_text(const json_file *self, const char *name, const char **out, ls_error *error) {
    const json_t *value = json_object_get(self->root, name);
    if (!json_is_string(value))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected \"%s\": a text", self->path, name);
    *out = json_string_value(value);
    return LS_OK;
}
