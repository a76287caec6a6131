#include "report/run/log.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

static int write_to(FILE *stream, const char *name, const text_buffer *lines, ls_error *error) {
    errno = 0;
    if (fwrite(lines->bytes, 1, lines->length, stream) == lines->length && fflush(stream) == 0)
        return LS_OK;
    return ls_fail_errno(error, LS_FAILED, "%s: cannot write", name);
}

int log_open(run_log *self, const char *path, const char *said, ls_error *error) {
    self->progress = progress_start();
    format_plain(self->path, sizeof self->path, "%s", path);
    self->file = fopen(path, "we");
    if (!self->file)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    text_add_bytes(&self->said, said, strlen(said));
    return self->said.length > 0 ? write_to(self->file, self->path, &self->said, error) : LS_OK;
}

int log_write(run_log *self, const text_buffer *lines, ls_error *error) {
    LS_TRY(text_buffer_check(lines, error));
    if (lines->length == 0)
        return LS_OK;
    progress_clear(&self->progress);
    text_add_bytes(&self->said, lines->bytes, lines->length);
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
    text_free(&self->said);
}
