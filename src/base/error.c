#include "base/error.h"

#include "base/local_limits.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static int record(ls_error *error, int code, int saved_errno, const char *format, va_list args) {
    if (error->code != LS_OK)
        return error->code;
    error->code = code;
    int used = vsnprintf(error->text, sizeof error->text, format, args);
    if (used < 0)
        used = 0;
    if (saved_errno != 0 && (size_t)used < sizeof error->text) {
        char hint[160];
        limits_hint(saved_errno, hint, sizeof hint);
        snprintf(error->text + used, sizeof error->text - (size_t)used, ": %s%s",
                 strerror(saved_errno), hint);
    }
    for (unsigned char *c = (unsigned char *)error->text; *c; c++)
        if (*c < 0x20 || *c == 0x7f)
            *c = '?';
    return code;
}

int ls_fail(ls_error *error, int code, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int status = record(error, code, 0, format, args);
    va_end(args);
    return status;
}

int ls_fail_errno(ls_error *error, int code, const char *format, ...) {
    int saved_errno = errno;
    va_list args;
    va_start(args, format);
    int status = record(error, code, saved_errno, format, args);
    va_end(args);
    return status;
}

int ls_place_code(int number) {
    static const int unusable[] = {EACCES, EPERM, EROFS,        ENOENT, ENOTDIR,
                                   EISDIR, ELOOP, ENAMETOOLONG, EEXIST, EINVAL};
    for (size_t index = 0; index < sizeof unusable / sizeof unusable[0]; index++)
        if (number == unusable[index])
            return LS_BAD_INPUT;
    return LS_FAILED;
}
