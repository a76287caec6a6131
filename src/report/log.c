#include "report/log.h"

#include <errno.h>
#include <unistd.h>

int log_open(run_log *self, const char *path, ls_error *error) {
    self->progress = progress_start();
    format_plain(self->path, sizeof self->path, "%s", path);
    self->file = fopen(path, "we");
    return self->file ? LS_OK : ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
}

static int write_to(FILE *stream, const char *name, const text_buffer *lines, ls_error *error) {
    errno = 0;
    if (fwrite(lines->bytes, 1, lines->length, stream) == lines->length && fflush(stream) == 0)
        return LS_OK;
    return ls_fail_errno(error, LS_FAILED, "%s: cannot write", name);
}

int log_write(run_log *self, const text_buffer *lines, ls_error *error) {
    LS_TRY(text_buffer_check(lines, error));
    if (lines->length == 0)
        return LS_OK;
    progress_clear(&self->progress);
    LS_TRY(write_to(stdout, "standard output", lines, error));
    return write_to(self->file, self->path, lines, error);
}

int log_sync(run_log *self, ls_error *error) {
    /* EINVAL: the file system has nothing to sync. */
    if (fsync(fileno(self->file)) != 0 && errno != EINVAL)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot sync to disk", self->path);
    return LS_OK;
}

void log_close(run_log *self) {
    progress_end(&self->progress);
    fflush(stdout);
    if (self->file)
        fclose(self->file);
    self->file = NULL;
}
