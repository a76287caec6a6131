#include "base/claim.h"

#include "base/claim_holder.h"
#include "base/leftover.h"
#include "base/thread.h"
#include "base/transfer.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { PATH = 4096, MOST_CLAIMS = 8 };

struct folder_claim {
    char path[PATH];
    claim_holder own;
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t mutex; /* of `ending` */
    pthread_cond_t changed;
    bool ending;
};

/* For the end of the process. */
static _Atomic(folder_claim *) held[MOST_CLAIMS];

/* ---- what lies there */

typedef struct found_claim {
    bool there;
    int failed;          /* errno: it could not be read, and `there` is false */
    claim_holder holder; /* all empty: the file is being written */
    struct timespec touched;
} found_claim;

static found_claim look(const char *path) {
    char text[CLAIM_TEXT];
    struct stat status = {0};
    found_claim out = {0};
    /* Opening asks the server anew, where a path's attributes may be remembered. */
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) {
        out.failed = errno == ENOENT || errno == ESTALE ? 0 : errno;
        return out;
    }
    ssize_t length = read_whole(file, text, sizeof text - 1);
    if (length < 0 || fstat(file, &status) != 0)
        out.failed = errno == ESTALE ? 0 : errno;
    else
        out.there = status.st_nlink > 0;
    text[length > 0 ? length : 0] = '\0';
    out.touched = status.st_mtim;
    claim_holder_read(&out.holder, text);
    close(file);
    return out;
}

static bool is_own(const folder_claim *self, const found_claim *found) {
    return found->there && strcmp(found->holder.key, self->own.key) == 0;
}

/* ---- taking it */

/* A file of ours beside it, whole before it has the name that counts. */
static int write_own(const folder_claim *self, const char *path, struct timespec *now,
                     ls_error *error) {
    char text[CLAIM_TEXT];
    struct stat status = {0};
    size_t length = claim_holder_write(&self->own, text);
    unlink(path); /* where /proc tells no start time, a killed process's */
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (file < 0)
        return ls_fail_errno(error, ls_place_code(errno), "%s: cannot write", self->path);
    bool failed = !write_whole(file, text, length) || fsync(file) != 0 || fstat(file, &status) != 0;
    int saved = errno;
    if (close(file) != 0 && !failed) {
        failed = true;
        saved = errno;
    }
    *now = status.st_mtim;
    if (!failed)
        return LS_OK;
    unlink(path);
    errno = saved;
    return ls_fail_errno(error, LS_FAILED, "%s: cannot write", self->path);
}

/* True where the name is ours. A reply that was lost makes link fail where it was done: the number
 * of names tells. */
static bool take_name(const char *from, const char *name) {
    struct stat status;
    if (link(from, name) == 0)
        return true;
    int saved = errno;
    if (stat(from, &status) == 0 && status.st_nlink > 1)
        return true;
    if (saved == EPERM || saved == ENOTSUP || saved == ENOSYS || saved == EMLINK) {
        /* No links there: exclusive creation, and the text a moment later. */
        char text[CLAIM_TEXT];
        int in = open(from, O_RDONLY | O_CLOEXEC);
        int out = in < 0 ? -1 : open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        ssize_t length = out < 0 ? -1 : read_whole(in, text, sizeof text);
        bool done = length > 0 && write_whole(out, text, (size_t)length);
        saved = errno;
        if (in >= 0)
            close(in);
        if (out >= 0)
            close(out);
        if (out >= 0 && !done)
            unlink(name);
        errno = saved;
        return done;
    }
    errno = saved;
    return false;
}

static double seconds_between(struct timespec from, struct timespec to) {
    return (double)(to.tv_sec - from.tv_sec) + 1e-9 * (double)(to.tv_nsec - from.tv_nsec);
}

static int refuse(const folder_claim *self, const found_claim *found, double age,
                  holder_state state, ls_error *error) {
    char who[256], mend[PATH + 128] = "";
    claim_holder_describe(&found->holder, who, sizeof who);
    if (state == HOLDER_UNKNOWN)
        snprintf(mend, sizeof mend,
                 "; its last sign of life is %.0f s old, %d s make it dead (or remove %s where it "
                 "is)",
                 age > 0 ? age : 0, CLAIM_SILENCE_SECONDS, self->path);
    return ls_fail(error, LS_BAD_INPUT,
                   "%.*s: another process writes there: %s (expected a folder of its own, or the "
                   "end of that one%s)",
                   (int)(strlen(self->path) - sizeof "/" CLAIM_FILE + 1), self->path, who, mend);
}

/* The claim of a dead one is replaced by who makes the name "claim.txt.KEY" with that one's key:
 * one process can. It looks again before it does, for another may have been through already. */
static int take_over(folder_claim *self, const char *own, const found_claim *dead,
                     ls_error *error) {
    char successor[PATH + 64];
    snprintf(successor, sizeof successor, "%s.%s", self->path, dead->holder.key);
    if (!take_name(own, successor)) {
        found_claim rival = look(successor);
        if (!rival.there || claim_holder_look(&rival.holder) != HOLDER_ENDED)
            return refuse(self, rival.there ? &rival : dead, 0, HOLDER_RUNS, error);
        unlink(successor); /* it died between two lines of this function */
        if (!take_name(own, successor))
            return refuse(self, dead, 0, HOLDER_RUNS, error);
    }
    found_claim now = look(self->path);
    int status = LS_OK;
    if (now.there && strcmp(now.holder.key, dead->holder.key) != 0)
        status = refuse(self, &now, 0, HOLDER_RUNS, error);
    else if (rename(own, self->path) != 0)
        status = ls_fail_errno(error, LS_FAILED, "%s: cannot rename into place", self->path);
    unlink(successor);
    return status;
}

static int take_with(folder_claim *self, const char *own, struct timespec now, ls_error *error) {
    for (int tries = 0; tries < 3; tries++) {
        if (take_name(own, self->path))
            return LS_OK;
        if (errno != EEXIST)
            return ls_fail_errno(error, ls_place_code(errno), "%s: cannot write", self->path);
        found_claim found = look(self->path);
        if (found.failed) {
            errno = found.failed;
            return ls_fail_errno(error, ls_place_code(errno), "%s: cannot read", self->path);
        }
        if (!found.there)
            continue; /* it went away meanwhile */
        double age = seconds_between(found.touched, now);
        holder_state state = claim_holder_look(&found.holder);
        if (state == HOLDER_RUNS || (state == HOLDER_UNKNOWN && age <= CLAIM_SILENCE_SECONDS))
            return refuse(self, &found, age, state, error);
        return take_over(self, own, &found, error);
    }
    return ls_fail(error, LS_BAD_INPUT, "%s: other processes take it and leave it: try again",
                   self->path);
}

/* ---- keeping it */

/* Not where it is another's by now. */
static void *keep(void *context) {
    folder_claim *self = context;
    pthread_mutex_lock(&self->mutex);
    while (!self->ending) {
        struct timespec until = thread_deadline(CLAIM_BEAT_SECONDS);
        pthread_cond_timedwait(&self->changed, &self->mutex, &until);
        pthread_mutex_unlock(&self->mutex);
        found_claim found = look(self->path);
        if (is_own(self, &found))
            utimensat(AT_FDCWD, self->path, NULL, 0); /* the server's time */
        pthread_mutex_lock(&self->mutex);
    }
    pthread_mutex_unlock(&self->mutex);
    return NULL;
}

static void remove_file(const folder_claim *self) {
    found_claim found = look(self->path);
    if (is_own(self, &found))
        unlink(self->path);
}

static void remember(folder_claim *self) {
    for (int index = 0; index < MOST_CLAIMS; index++) {
        folder_claim *empty = NULL;
        if (atomic_compare_exchange_strong(&held[index], &empty, self))
            return;
    }
}

static void forget(folder_claim *self) {
    for (int index = 0; index < MOST_CLAIMS; index++) {
        folder_claim *expected = self;
        if (atomic_compare_exchange_strong(&held[index], &expected, NULL))
            return;
    }
}

static int start(folder_claim *self, const char *folder, ls_error *error) {
    char own[PATH + 256], name[256];
    struct timespec now = {0};
    if (strlen(folder) + sizeof "/" CLAIM_FILE > PATH)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is longer than %d bytes", folder,
                       PATH - 1);
    snprintf(self->path, sizeof self->path, "%s/" CLAIM_FILE, folder);
    claim_holder_own(&self->own);
    leftover_sweep(folder);
    leftover_name(CLAIM_FILE, name, sizeof name);
    snprintf(own, sizeof own, "%s/%s", folder, name);
    LS_TRY(write_own(self, own, &now, error));
    int status = take_with(self, own, now, error);
    unlink(own);
    LS_TRY(status);
    remember(self);
    status = thread_start(&self->thread, "claim", NULL, 0, keep, self, error);
    self->thread_runs = status == LS_OK;
    return status;
}

int claim_take(const char *folder, folder_claim **out, ls_error *error) {
    folder_claim *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: out of memory", folder);
    pthread_mutex_init(&self->mutex, NULL);
    thread_condition_init(&self->changed);
    int status = start(self, folder, error);
    if (status != LS_OK)
        claim_release(self);
    else
        *out = self;
    return status;
}

int claim_check(const folder_claim *self, ls_error *error) {
    char who[256];
    if (!self)
        return LS_OK;
    found_claim found = look(self->path);
    if (is_own(self, &found))
        return LS_OK;
    /* A folder that was moved away, a file that somebody removed, or that cannot be read now: what
     * follows will see. */
    if (!found.there)
        return LS_OK;
    claim_holder_describe(&found.holder, who, sizeof who);
    return ls_fail(error, LS_FAILED,
                   "%.*s: another process has taken it over while this one did not run: %s",
                   (int)(strlen(self->path) - sizeof "/" CLAIM_FILE + 1), self->path, who);
}

void claim_release(folder_claim *self) {
    if (!self)
        return;
    if (self->thread_runs) {
        pthread_mutex_lock(&self->mutex);
        self->ending = true;
        pthread_cond_signal(&self->changed);
        pthread_mutex_unlock(&self->mutex);
        pthread_join(self->thread, NULL);
    }
    forget(self);
    if (self->path[0])
        remove_file(self);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}

void claim_release_all(void) {
    for (int index = 0; index < MOST_CLAIMS; index++) {
        const folder_claim *each = atomic_load(&held[index]);
        if (each)
            remove_file(each);
    }
}
