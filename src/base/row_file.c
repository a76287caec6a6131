#include "base/row_file.h"

#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Rows of a file are about as long as each other. */
enum { SPARE = 64, LEAST_EXPECTED = 256 };

struct row_file {
    char path[4096];
    int file;
    size_t length;  /* of the file */
    size_t longest; /* of its rows, without zeros that were added */
    double synced_at;
    bool unsynced;
};

static int open_end(row_file *self, ls_error *error) {
    if (self->file >= 0)
        close(self->file);
    self->file = open(self->path, O_RDWR | O_APPEND | O_CLOEXEC);
    return self->file >= 0 ? LS_OK
                           : ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
}

int row_file_create(const char *path, const char *titles, size_t length, row_file **out,
                    ls_error *error) {
    row_file *self = calloc(1, sizeof *self);
    *out = self;
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: out of memory", path);
    self->file = -1;
    self->length = length;
    if (strlen(path) >= sizeof self->path)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is too long", path);
    memcpy(self->path, path, strlen(path) + 1);
    LS_TRY(atomic_file_write(path, titles, length, error));
    self->synced_at = clock_seconds();
    return open_end(self, error);
}

/* The name may have gone with its folder: rows would go where nobody looks. */
static int check_place(const row_file *self, ls_error *error) {
    struct stat own, named;
    if (fstat(self->file, &own) != 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot look at it", self->path);
    if (stat(self->path, &named) != 0)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
    if (named.st_ino != own.st_ino || named.st_dev != own.st_dev ||
        (size_t)own.st_size != self->length)
        return ls_fail(error, LS_FAILED, "%s: another process has changed it", self->path);
    return LS_OK;
}

/* With the row, as a whole. */
static int write_anew(row_file *self, const char *row, size_t length, ls_error *error) {
    char *bytes = malloc(self->length + length);
    if (!bytes)
        return ls_fail(error, LS_FAILED, "%s: out of memory", self->path);
    int status = LS_OK;
    errno = EIO; /* where the file has become shorter */
    if (lseek(self->file, 0, SEEK_SET) != 0 ||
        read_whole(self->file, bytes, self->length) != (ssize_t)self->length)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot read it back", self->path);
    memcpy(bytes + self->length, row, length);
    if (status == LS_OK)
        status = atomic_file_write(self->path, bytes, self->length + length, error);
    free(bytes);
    LS_TRY(status);
    self->length += length;
    return open_end(self, error);
}

/* One call, as a rule; what of it went to the file before it failed is taken back. */
static int append(row_file *self, const char *row, size_t length, ls_error *error) {
    if (write_whole(self->file, row, length)) {
        self->length += length;
        self->unsynced = true;
        return LS_OK;
    }
    int saved = errno;
    if (ftruncate(self->file, (off_t)self->length) != 0)
        saved = errno;
    errno = saved;
    return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
}

/* The row with zeros in front of its line break: `length` and `zeros` are those of the block. */
static int append_longer(row_file *self, const char *row, size_t length, size_t zeros,
                         ls_error *error) {
    char longer[ROW_FILE_BLOCK];
    size_t cell = length - 1;
    while (cell > 0 && row[cell - 1] != ',')
        cell--;
    memcpy(longer, row, length - 1);
    memset(longer + length - 1, '0', zeros);
    if (!memchr(row + cell, '.', length - cell))
        longer[length - 1] = '.';
    longer[length - 1 + zeros] = '\n';
    return append(self, longer, length + zeros, error);
}

int row_file_add(row_file *self, const char *row, size_t length, ls_error *error) {
    size_t room = ROW_FILE_BLOCK - self->length % ROW_FILE_BLOCK, expected = LEAST_EXPECTED;
    int status;
    LS_TRY(check_place(self, error));
    self->longest = length > self->longest ? length : self->longest;
    if (self->longest + SPARE > expected)
        expected = self->longest + SPARE;
    if (length > room)
        status = write_anew(self, row, length, error);
    else if (room - length < expected && room > length)
        status = append_longer(self, row, length, room - length, error);
    else
        status = append(self, row, length, error);
    LS_TRY(status);
    return clock_seconds() - self->synced_at < ROW_FILE_SYNC_SECONDS ? LS_OK
                                                                     : row_file_sync(self, error);
}

int row_file_sync(row_file *self, ls_error *error) {
    /* EINVAL: the file system has nothing to sync. */
    if (self->unsynced && fdatasync(self->file) != 0 && errno != EINVAL)
        return ls_fail_errno(error, LS_FAILED, "%s: cannot sync to disk", self->path);
    self->unsynced = false;
    self->synced_at = clock_seconds();
    return LS_OK;
}

void row_file_close(row_file *self) {
    if (!self)
        return;
    if (self->file >= 0)
        close(self->file);
    free(self);
}
