/* Every system call of a save fails, one save after the other: the k-th of them, k from 1 to all.
 * The save says so, and the checkpoint before it stays whole. The calls are defined here in front
 * of the C library's, for this program and HDF5 alike. */
#include "../check.h"
#include "checkpoint_fixture.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

/* 0: not armed. Counts down to the call that fails; `calls` counts all. */
static int failing, calls, number;
static bool is_short; /* a write does half of it, and the next one fails */

static bool fails(void) {
    if (failing == 0)
        return false;
    calls++;
    if (calls != failing)
        return false;
    errno = number;
    return true;
}

#define REAL(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

ssize_t write(int file, const void *bytes, size_t count) {
    if (fails()) {
        if (!is_short || count < 2)
            return -1;
        failing++; /* the rest fails */
        return REAL(write)(file, bytes, count / 2);
    }
    return REAL(write)(file, bytes, count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    if (fails()) {
        if (!is_short || count < 2)
            return -1;
        failing++;
        return REAL(pwrite64)(file, bytes, count / 2, at);
    }
    return REAL(pwrite64)(file, bytes, count, at);
}

/* Under their other names, which this program's own calls of them do not have. */
ssize_t plain_pwrite(int file, const void *bytes, size_t count, off_t at) __asm__("pwrite");
ssize_t plain_pwrite(int file, const void *bytes, size_t count, off_t at) {
    return pwrite64(file, bytes, count, at);
}

int fsync(int file) {
    return fails() ? -1 : REAL(fsync)(file);
}

int fdatasync(int file) {
    return fails() ? -1 : REAL(fdatasync)(file);
}

int ftruncate64(int file, off64_t length) {
    return fails() ? -1 : REAL(ftruncate64)(file, length);
}

int plain_ftruncate(int file, off_t length) __asm__("ftruncate");
int plain_ftruncate(int file, off_t length) {
    return ftruncate64(file, length);
}

/* The descriptor is gone all the same. */
int close(int file) {
    int status = REAL(close)(file);
    return fails() ? -1 : status;
}

int rename(const char *from, const char *to) {
    return fails() ? -1 : REAL(rename)(from, to);
}

int mkdir(const char *path, mode_t mode) {
    return fails() ? -1 : REAL(mkdir)(path, mode);
}

int unlink(const char *path) {
    return fails() ? -1 : REAL(unlink)(path);
}

static int open_real(const char *path, int flags, int mode) {
    return fails() ? -1 : REAL(open64)(path, flags, mode);
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        int mode = flags & O_CREAT ? va_arg(more, int) : 0;                                        \
        va_end(more);                                                                              \
        return open_real(path, flags, mode);                                                       \
    }
OPEN(open64)
int plain_open(const char *path, int flags, ...) __asm__("open");
OPEN(plain_open)

static char dir[64], first[CHECKPOINT_FOLDER_BYTES];

/* As a run makes one: written, published, pointed to, the old ones removed. */
static int save(int64_t serial, char name[CHECKPOINT_FOLDER_BYTES], ls_error *error) {
    LS_TRY(fixture_write(dir, serial, 10 * serial, 0, name, error));
    LS_TRY(checkpoint_point(dir, CHECKPOINT_LAST, name, error));
    return checkpoint_prune(dir, "0123456789abcdef0123456789abcdef", 2, error);
}

/* *serial: of the newest that is whole; each that has a name must be. */
static bool all_whole(int64_t *serial, ls_error *error) {
    checkpoint_entry *list;
    int count;
    bool whole = checkpoint_list(dir, &list, &count, error) == LS_OK && count > 0;
    for (int index = 0; whole && index < count; index++) {
        char path[400];
        checkpoint found;
        snprintf(path, sizeof path, "%s/%s", dir, list[index].name);
        whole = checkpoint_open(&found, path, error) == LS_OK;
        if (whole) {
            whole = checkpoint_verify(&found, 0, 1, error) == LS_OK;
            checkpoint_close(&found);
        }
    }
    *serial = whole ? list[0].serial : 0;
    free(list);
    return whole;
}

/* True where the k-th call was reached. */
static bool fail_one(int k, int errno_value, int64_t serial) {
    ls_error error = {0}, after = {0};
    char name[CHECKPOINT_FOLDER_BYTES], last[CHECKPOINT_FOLDER_BYTES];
    int64_t newest;
    calls = 0;
    number = errno_value;
    failing = k;
    int status = save(serial, name, &error);
    bool reached = calls >= k;
    failing = 0;
    CHECK(status == LS_OK || error.text[0], "call %d: no text", k);
    CHECK(all_whole(&newest, &after), "call %d, %s: %s", k, strerror(errno_value), after.text);
    CHECK(newest == serial || newest == serial - 1 || status != LS_OK, "call %d: newest %lld", k,
          (long long)newest);
    CHECK(checkpoint_pointed(dir, CHECKPOINT_LAST, last, &after) == LS_OK && last[0], "call %d: %s",
          k, after.text);
    checkpoint_sweep(dir);
    return reached;
}

static void fails_each_call(const char *name, int errno_value, bool halves) {
    ls_error error = {0};
    int k = 1;
    fixture_folder(dir);
    is_short = halves;
    CHECK(save(1, first, &error) == LS_OK, "%s", error.text);
    while (fail_one(k, errno_value, k + 1) && k < 2000)
        k++;
    CHECK(k > 30 && k < 120, "%d calls: a file is written in pieces that are not small", k);
    printf("# %s: %d calls\n", name, k - 1);
    check_case(name);
}

int main(void) {
    fails_each_call("ENOSPC at every call", ENOSPC, false);
    fails_each_call("EDQUOT at every call", EDQUOT, false);
    fails_each_call("EIO at every call", EIO, false);
    fails_each_call("a short write, then ENOSPC", ENOSPC, true);
    return check_done();
}
