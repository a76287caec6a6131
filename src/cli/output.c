#include "cli/output.h"

#include "base/atomic_file.h"

#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

int output_write(const text_buffer *text, const char *path, ls_error *error) {
    LS_TRY(text_buffer_check(text, error));
    if (path)
        return atomic_file_write(path, text->bytes, text->length, error);
    if (fwrite(text->bytes, 1, text->length, stdout) != text->length || fflush(stdout) != 0)
        return ls_fail_errno(error, LS_FAILED, "standard output: cannot write");
    return LS_OK;
}

int output_check(const char *option, const char *path, ls_error *error) {
    struct stat status;
    if (!path)
        return LS_OK;
    if (stat(path, &status) == 0 && S_ISDIR(status.st_mode))
        return ls_fail(error, LS_BAD_INPUT, "%s: expected a file, found the folder '%s'", option,
                       path);
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    if (!slash || slash == path)
        return LS_OK;
    if (slash - path >= (ptrdiff_t)sizeof folder)
        return ls_fail(error, LS_BAD_INPUT, "%s: the path '%.80s...' is too long", option, path);
    memcpy(folder, path, (size_t)(slash - path));
    folder[slash - path] = '\0';
    if (stat(folder, &status) != 0)
        return ls_fail_errno(error, LS_BAD_INPUT, "%s: %s", option, folder);
    return LS_OK;
}
