/* System calls that fail, put between a program, HDF5 and the C library by LD_PRELOAD: of the calls
 * that concern one folder, the k-th.
 *
 *   FAILING_FOLDER=PATH    absolute: calls on it and on what is in it count, and no others
 *   FAILING_CALL=K         the K-th fails (1, 2, ...); 0 or nothing: none, they are counted
 *   FAILING_ERROR=NAME     ENOSPC, EDQUOT, EIO: with that; `short`: a write does half of it, and
 * the next call of any kind fails with ENOSPC; `half`: a write does half of it and nothing fails;
 * `full`: from the K-th on nothing that needs room is done (writes, new files, folders, links)
 *   FAILING_READS=1        opening for reading, reading and closing afterwards count, too
 *   FAILING_RANK=R         in the process of that rank alone (Open MPI's, PMIx's)
 *   FAILING_RECORD=FILE    a line "K NAME PATH" for each call that counts, " failed" behind those
 * that were made to; outside the folder
 *
 * A failing close has closed the descriptor all the same, as Linux does. Streams of stdio call
 * the C library's own write, which nobody can come between: those that are opened for writing are
 * replaced by streams that call ours. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum { PATH = 4096, STREAMS = 64 };

/* What a call is to the fault. */
typedef enum {
    NEEDS_ROOM, /* a full disk refuses it */
    NEEDS_NONE,
    READS
} need;

typedef enum { FINE, FAILS, HALF } verdict;

static struct {
    char folder[PATH], record[PATH];
    size_t folder_length;
    long call;
    int number; /* errno; 0: `half` */
    bool active, halves, stays, reads;
} wanted;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static long calls;
static pthread_once_t once = PTHREAD_ONCE_INIT;

/* POSIX: a function's address fits a void pointer. */
#define REAL(name)                                                                                 \
    __extension__({                                                                                \
        static __typeof__(name) *real_;                                                            \
        void *found_ = real_ ? NULL : dlsym(RTLD_NEXT, #name);                                     \
        if (!real_)                                                                                \
            memcpy(&real_, &found_, sizeof found_);                                                \
        real_;                                                                                     \
    })

static const char *text_of(const char *name) {
    const char *value = getenv(name);
    return value ? value : "";
}

static bool is_rank(const char *rank) {
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"};
    const char *own = "0";
    for (int index = 2; index >= 0; index--)
        own = *text_of(names[index]) ? text_of(names[index]) : own;
    return !*rank || strcmp(rank, own) == 0;
}

static void read_wishes(void) {
    static const struct {
        const char *name;
        int number;
        bool halves, stays;
    } errors[] = {{"ENOSPC", ENOSPC, false, false}, {"EDQUOT", EDQUOT, false, false},
                  {"EIO", EIO, false, false},       {"short", ENOSPC, true, false},
                  {"half", 0, true, false},         {"full", ENOSPC, false, true}};
    snprintf(wanted.folder, sizeof wanted.folder, "%s", text_of("FAILING_FOLDER"));
    snprintf(wanted.record, sizeof wanted.record, "%s", text_of("FAILING_RECORD"));
    wanted.folder_length = strlen(wanted.folder);
    wanted.call = atol(text_of("FAILING_CALL"));
    wanted.reads = *text_of("FAILING_READS") == '1';
    wanted.active = wanted.folder_length > 0 && is_rank(text_of("FAILING_RANK"));
    wanted.number = EIO;
    for (size_t index = 0; index < sizeof errors / sizeof errors[0]; index++)
        if (strcmp(errors[index].name, text_of("FAILING_ERROR")) == 0) {
            wanted.number = errors[index].number;
            wanted.halves = errors[index].halves;
            wanted.stays = errors[index].stays;
        }
}

/* ---- whose a call is */

static bool is_inside(const char *path) {
    size_t length = wanted.folder_length;
    return strncmp(path, wanted.folder, length) == 0 &&
           (path[length] == '\0' || path[length] == '/');
}

static void path_of_descriptor(int file, char out[PATH]) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    ssize_t length = readlink(link, out, PATH - 1);
    out[length > 0 ? length : 0] = '\0';
}

/* Absolute, as far as a prefix needs it. */
static void whole_path(int folder, const char *path, char out[PATH]) {
    char before[PATH] = "";
    if (path[0] == '/') {
        snprintf(out, PATH, "%s", path);
        return;
    }
    if (folder != AT_FDCWD)
        path_of_descriptor(folder, before);
    else if (!getcwd(before, sizeof before))
        before[0] = '\0';
    size_t length = strlen(before);
    snprintf(out, PATH, "%s", before);
    snprintf(out + length, PATH - length, "/%s", path);
}

/* By the system itself: it does not count. */
static void write_record(const char *name, const char *path, bool failed) {
    char line[PATH + 128];
    int length =
        snprintf(line, sizeof line, "%ld %s %s%s\n", calls, name, path, failed ? " failed" : "");
    if (!wanted.record[0] || length <= 0)
        return;
    int file = REAL(open)(wanted.record, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (file < 0)
        return;
    if (REAL(write)(file, line, (size_t)length) < 0)
        abort();
    REAL(close)(file);
}

/* `can_halve`: a write of two bytes or more. */
static verdict judge(const char *name, const char *path, need need, bool can_halve) {
    int saved = errno;
    verdict out = FINE;
    pthread_once(&once, read_wishes);
    if (!wanted.active || (need == READS && !wanted.reads) || !is_inside(path)) {
        errno = saved;
        return FINE;
    }
    pthread_mutex_lock(&lock);
    calls++;
    bool due = wanted.stays ? calls >= wanted.call && need == NEEDS_ROOM : calls == wanted.call;
    if (wanted.call > 0 && due) {
        out = wanted.halves && can_halve ? HALF : wanted.number ? FAILS : FINE;
        wanted.call += out == HALF && wanted.number; /* the next one fails */
        wanted.halves &= out != HALF;
    }
    write_record(name, path, out != FINE);
    pthread_mutex_unlock(&lock);
    errno = out == FAILS ? wanted.number : saved;
    return out;
}

static verdict judge_file(const char *name, int file, need need, bool can_halve) {
    char path[PATH];
    int saved = errno;
    path_of_descriptor(file, path);
    errno = saved;
    return judge(name, path, need, can_halve);
}

static verdict judge_path(const char *name, int folder, const char *path, need need) {
    char whole[PATH];
    int saved = errno;
    whole_path(folder, path, whole);
    errno = saved;
    return judge(name, whole, need, false);
}

/* ---- writing and reading */

ssize_t write(int file, const void *bytes, size_t count) {
    verdict found = judge_file("write", file, NEEDS_ROOM, count > 1);
    return found == FAILS ? -1 : REAL(write)(file, bytes, found == HALF ? count / 2 : count);
}

ssize_t pwrite64(int file, const void *bytes, size_t count, off64_t at) {
    verdict found = judge_file("pwrite", file, NEEDS_ROOM, count > 1);
    return found == FAILS ? -1 : REAL(pwrite64)(file, bytes, found == HALF ? count / 2 : count, at);
}

/* Under their other names, which this library's own calls of them do not have. */
ssize_t plain_pwrite(int file, const void *bytes, size_t count, off_t at) __asm__("pwrite");
ssize_t plain_pwrite(int file, const void *bytes, size_t count, off_t at) {
    return pwrite64(file, bytes, count, at);
}

ssize_t writev(int file, const struct iovec *pieces, int count) {
    verdict found = judge_file("writev", file, NEEDS_ROOM, count > 1);
    return found == FAILS ? -1 : REAL(writev)(file, pieces, found == HALF ? count / 2 : count);
}

ssize_t read(int file, void *bytes, size_t count) {
    verdict found = judge_file("read", file, READS, count > 1);
    return found == FAILS ? -1 : REAL(read)(file, bytes, found == HALF ? count / 2 : count);
}

ssize_t pread64(int file, void *bytes, size_t count, off64_t at) {
    verdict found = judge_file("pread", file, READS, count > 1);
    return found == FAILS ? -1 : REAL(pread64)(file, bytes, found == HALF ? count / 2 : count, at);
}

ssize_t plain_pread(int file, void *bytes, size_t count, off_t at) __asm__("pread");
ssize_t plain_pread(int file, void *bytes, size_t count, off_t at) {
    return pread64(file, bytes, count, at);
}

int fsync(int file) {
    return judge_file("fsync", file, NEEDS_NONE, false) == FAILS ? -1 : REAL(fsync)(file);
}

int fdatasync(int file) {
    return judge_file("fdatasync", file, NEEDS_NONE, false) == FAILS ? -1 : REAL(fdatasync)(file);
}

int ftruncate64(int file, off64_t length) {
    bool fails = judge_file("ftruncate", file, NEEDS_NONE, false) == FAILS;
    return fails ? -1 : REAL(ftruncate64)(file, length);
}

int plain_ftruncate(int file, off_t length) __asm__("ftruncate");
int plain_ftruncate(int file, off_t length) {
    return ftruncate64(file, length);
}

int close(int file) {
    int mode = fcntl(file, F_GETFL);
    need what = mode >= 0 && (mode & O_ACCMODE) == O_RDONLY ? READS : NEEDS_NONE;
    verdict found = judge_file("close", file, what, false);
    int saved = errno, status = REAL(close)(file);
    if (found != FAILS)
        return status;
    errno = saved;
    return -1;
}

/* ---- names */

int rename(const char *from, const char *to) {
    return judge_path("rename", AT_FDCWD, to, NEEDS_NONE) == FAILS ? -1 : REAL(rename)(from, to);
}

int renameat(int from_folder, const char *from, int to_folder, const char *to) {
    bool fails = judge_path("renameat", to_folder, to, NEEDS_NONE) == FAILS;
    return fails ? -1 : REAL(renameat)(from_folder, from, to_folder, to);
}

int link(const char *from, const char *to) {
    return judge_path("link", AT_FDCWD, to, NEEDS_ROOM) == FAILS ? -1 : REAL(link)(from, to);
}

int linkat(int from_folder, const char *from, int to_folder, const char *to, int flags) {
    bool fails = judge_path("linkat", to_folder, to, NEEDS_ROOM) == FAILS;
    return fails ? -1 : REAL(linkat)(from_folder, from, to_folder, to, flags);
}

int unlink(const char *path) {
    return judge_path("unlink", AT_FDCWD, path, NEEDS_NONE) == FAILS ? -1 : REAL(unlink)(path);
}

int unlinkat(int folder, const char *path, int flags) {
    bool fails = judge_path("unlinkat", folder, path, NEEDS_NONE) == FAILS;
    return fails ? -1 : REAL(unlinkat)(folder, path, flags);
}

int rmdir(const char *path) {
    return judge_path("rmdir", AT_FDCWD, path, NEEDS_NONE) == FAILS ? -1 : REAL(rmdir)(path);
}

int mkdir(const char *path, mode_t mode) {
    return judge_path("mkdir", AT_FDCWD, path, NEEDS_ROOM) == FAILS ? -1 : REAL(mkdir)(path, mode);
}

int mkdirat(int folder, const char *path, mode_t mode) {
    bool fails = judge_path("mkdirat", folder, path, NEEDS_ROOM) == FAILS;
    return fails ? -1 : REAL(mkdirat)(folder, path, mode);
}

/* ---- opening */

static int open_judged(int folder, const char *path, int flags, mode_t mode) {
    bool reads = (flags & O_ACCMODE) == O_RDONLY && !(flags & O_CREAT);
    need what = reads ? READS : flags & O_CREAT ? NEEDS_ROOM : NEEDS_NONE;
    if (judge_path("open", folder, path, what) == FAILS)
        return -1;
    return REAL(openat)(folder, path, flags, mode);
}

#define OPEN(name)                                                                                 \
    int name(const char *path, int flags, ...) {                                                   \
        va_list more;                                                                              \
        va_start(more, flags);                                                                     \
        mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;                    \
        va_end(more);                                                                              \
        return open_judged(AT_FDCWD, path, flags, mode);                                           \
    }
OPEN(open64)
int plain_open(const char *path, int flags, ...) __asm__("open");
OPEN(plain_open)

int openat64(int folder, const char *path, int flags, ...) {
    va_list more;
    va_start(more, flags);
    mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0;
    va_end(more);
    return open_judged(folder, path, flags, mode);
}

/* ---- streams that write */

static struct {
    FILE *stream;
    int file;
} streams[STREAMS];

typedef struct cookie {
    int file;
} cookie;

/* All of it, as stdio itself has it. */
static ssize_t cookie_write(void *context, const char *bytes, size_t count) {
    const cookie *self = context;
    size_t done = 0;
    while (done < count) {
        ssize_t written = write(self->file, bytes + done, count - done);
        if (written < 0)
            return (ssize_t)done;
        done += (size_t)written;
    }
    return (ssize_t)done;
}

static ssize_t cookie_read(void *context, char *bytes, size_t count) {
    const cookie *self = context;
    return read(self->file, bytes, count);
}

static int cookie_seek(void *context, off64_t *at, int from) {
    const cookie *self = context;
    off64_t found = lseek64(self->file, *at, from);
    *at = found < 0 ? *at : found;
    return found < 0 ? -1 : 0;
}

static int cookie_close(void *context) {
    cookie *self = context;
    int status = close(self->file);
    pthread_mutex_lock(&lock);
    for (int index = 0; index < STREAMS; index++)
        if (streams[index].stream && streams[index].file == self->file)
            streams[index].stream = NULL;
    pthread_mutex_unlock(&lock);
    free(self);
    return status;
}

static int flags_of(const char *mode) {
    int flags = strchr(mode, '+') ? O_RDWR : O_WRONLY;
    flags |= O_CREAT | (mode[0] == 'a' ? O_APPEND : O_TRUNC);
    return flags | (strchr(mode, 'x') ? O_EXCL : 0) | (strchr(mode, 'e') ? O_CLOEXEC : 0);
}

static FILE *open_stream(const char *path, const char *mode) {
    static const cookie_io_functions_t functions = {cookie_read, cookie_write, cookie_seek,
                                                    cookie_close};
    int file = open_judged(AT_FDCWD, path, flags_of(mode), 0666);
    if (file < 0)
        return NULL;
    cookie *self = malloc(sizeof *self);
    FILE *stream = NULL;
    if (self) {
        self->file = file;
        stream = fopencookie(self, strchr(mode, '+') ? "w+" : "w", functions);
    }
    if (!stream)
        abort();
    pthread_mutex_lock(&lock);
    for (int index = 0; index < STREAMS; index++)
        if (!streams[index].stream) {
            streams[index].stream = stream;
            streams[index].file = file;
            break;
        }
    pthread_mutex_unlock(&lock);
    return stream;
}

FILE *fopen64(const char *path, const char *mode) {
    char whole[PATH];
    pthread_once(&once, read_wishes);
    whole_path(AT_FDCWD, path, whole);
    if (wanted.active && is_inside(whole) && (mode[0] == 'w' || mode[0] == 'a'))
        return open_stream(path, mode);
    return REAL(fopen64)(path, mode);
}

FILE *plain_fopen(const char *path, const char *mode) __asm__("fopen");
FILE *plain_fopen(const char *path, const char *mode) {
    return fopen64(path, mode);
}

int fileno(FILE *stream) {
    int found = -1;
    pthread_mutex_lock(&lock);
    for (int index = 0; index < STREAMS; index++)
        if (streams[index].stream == stream)
            found = streams[index].file;
    pthread_mutex_unlock(&lock);
    return found >= 0 ? found : REAL(fileno)(stream);
}
