#include "data/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static int fail(const char *path, ls_error *error) {
    bool shortage = errno == EMFILE || errno == ENFILE || errno == ENOMEM;
    return ls_fail_errno(error, shortage ? LS_FAILED : LS_BAD_INPUT,
                         "%s: expected a readable JPEG file", path);
}

int file_start(open_file *self, const char *path, int64_t limit, ls_error *error) {
    struct stat found;
    *self = (open_file){.descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)};
    if (self->descriptor < 0)
        return fail(path, error);
    int status = LS_OK;
    if (fstat(self->descriptor, &found) != 0)
        status = fail(path, error);
    else if (!S_ISREG(found.st_mode))
        status =
            ls_fail(error, LS_BAD_INPUT, "%s: expected a JPEG file, found no regular file", path);
    else if (found.st_size > limit)
        status = ls_fail(error, LS_BAD_INPUT,
                         "%s: expected a JPEG file of at most %lld MiB, found %lld MiB", path,
                         (long long)(limit >> 20), (long long)(found.st_size >> 20));
    else
        self->bytes = found.st_size;
    if (status != LS_OK)
        file_end(self);
    return status;
}

int file_read(open_file *self, const char *path, uint8_t *out, ls_error *error) {
    int64_t done = 0;
    while (done < self->bytes) {
        ssize_t got = read(self->descriptor, out + done, (size_t)(self->bytes - done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return fail(path, error);
        if (got == 0)
            return ls_fail(error, LS_BAD_INPUT,
                           "%s: it became shorter while it was read: %lld of %lld bytes", path,
                           (long long)done, (long long)self->bytes);
        done += got;
    }
    return LS_OK;
}

void file_end(open_file *self) {
    if (self->descriptor >= 0)
        close(self->descriptor);
    self->descriptor = -1;
}
