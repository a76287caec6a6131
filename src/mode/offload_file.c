#include "mode/offload_file.h"

#include "base/clock.h"
#include "base/thread.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

typedef struct request {
    bool writes;
    size_t at, bytes;
    char *memory;
} request;

struct offload_file {
    int file;
    char *folder;
    offload_totals totals;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t asked, ended;
    request *ring; /* [capacity], the oldest at `first` */
    size_t capacity, first, count;
    offload_ticket last, done; /* asked for, and through */
    bool stopping;
    ls_error failure; /* the thread's */
};

/* ---- the thread */

static int fail(const offload_file *self, const char *doing, size_t bytes, ls_error *error) {
    return ls_fail_errno(error, LS_FAILED, "--offload-dir %s: cannot %s %zu bytes of state",
                         self->folder, doing, bytes);
}

static int write_all(const offload_file *self, const request *what, ls_error *error) {
    for (size_t done = 0; done < what->bytes;) {
        ssize_t now =
            pwrite(self->file, what->memory + done, what->bytes - done, (off_t)(what->at + done));
        if (now < 0 && errno == EINTR)
            continue;
        if (now == 0)
            errno = ENOSPC;
        if (now <= 0)
            return fail(self, "write", what->bytes, error);
        done += (size_t)now;
    }
    return LS_OK;
}

static int read_all(const offload_file *self, const request *what, ls_error *error) {
    for (size_t done = 0; done < what->bytes;) {
        ssize_t now =
            pread(self->file, what->memory + done, what->bytes - done, (off_t)(what->at + done));
        if (now < 0 && errno == EINTR)
            continue;
        if (now < 0)
            return fail(self, "read", what->bytes, error);
        if (now == 0)
            return ls_fail(error, LS_FAILED,
                           "--offload-dir %s: the file of the state ends %zu bytes early",
                           self->folder, what->bytes - done);
        done += (size_t)now;
    }
    return LS_OK;
}

static void *run(void *context) {
    offload_file *self = context;
    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (self->count == 0 && !self->stopping)
            pthread_cond_wait(&self->asked, &self->lock);
        if (self->stopping)
            break;
        request next = self->ring[self->first];
        self->first = (self->first + 1) % self->capacity;
        self->count--;
        ls_error error = self->failure;
        pthread_mutex_unlock(&self->lock);
        if (error.code == LS_OK)
            (void)(next.writes ? write_all : read_all)(self, &next, &error);
        pthread_mutex_lock(&self->lock);
        self->failure = error;
        self->done++;
        pthread_cond_broadcast(&self->ended);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* ---- open and close */

/* A file that nobody else can open. */
static int make_file(offload_file *self, ls_error *error) {
    size_t capacity = strlen(self->folder) + 64;
    char *path = malloc(capacity);
    if (!path)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (int attempt = 0; attempt < 100 && self->file < 0; attempt++) {
        snprintf(path, capacity, "%s/.lockstep-offload-%ld-%d", self->folder, (long)getpid(),
                 attempt);
        self->file = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (self->file < 0 && errno != EEXIST)
            break;
    }
    int status = LS_OK;
    if (self->file < 0)
        status = ls_fail_errno(error, ls_place_code(errno),
                               "--offload-dir %s: cannot make a file there", self->folder);
    else if (unlink(path) != 0)
        status = ls_fail_errno(error, LS_FAILED, "--offload-dir %s: cannot unlink its file",
                               self->folder);
    free(path);
    return status;
}

/* Where the file system cannot say beforehand, a write will. */
static int take_room(const offload_file *self, size_t bytes, ls_error *error) {
    struct statvfs there;
    if (bytes == 0 || fallocate(self->file, 0, 0, (off_t)bytes) == 0)
        return LS_OK;
    int why = errno;
    if (why == ENOSPC && fstatvfs(self->file, &there) == 0)
        return ls_fail(error, LS_FAILED,
                       "--offload-dir %s: no room for %.1f MB of state, %.1f MB are free: %s",
                       self->folder, (double)bytes / 1e6,
                       (double)there.f_bavail * (double)there.f_frsize / 1e6, strerror(why));
    errno = why;
    if (why != EOPNOTSUPP && why != ENOSYS)
        return ls_fail_errno(error, LS_FAILED, "--offload-dir %s: no room for %.1f MB of state",
                             self->folder, (double)bytes / 1e6);
    if (ftruncate(self->file, (off_t)bytes) != 0)
        return ls_fail_errno(error, LS_FAILED, "--offload-dir %s: cannot lengthen its file",
                             self->folder);
    return LS_OK;
}

static void release(offload_file *self) {
    if (self->file >= 0)
        close(self->file);
    pthread_cond_destroy(&self->asked);
    pthread_cond_destroy(&self->ended);
    pthread_mutex_destroy(&self->lock);
    free(self->folder);
    free(self->ring);
    free(self);
}

int offload_open(const char *folder, size_t bytes, offload_file **out, ls_error *error) {
    enum { FIRST_CAPACITY = 64 };
    offload_file *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->file = -1;
    self->capacity = FIRST_CAPACITY;
    self->folder = strdup(folder);
    self->ring = calloc(self->capacity, sizeof *self->ring);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->asked, NULL);
    pthread_cond_init(&self->ended, NULL);
    int status = self->folder && self->ring ? LS_OK : ls_fail(error, LS_FAILED, "out of memory");
    if (status == LS_OK)
        status = make_file(self, error);
    if (status == LS_OK)
        status = take_room(self, bytes, error);
    if (status == LS_OK)
        status = thread_start(&self->thread, "offloaded state", NULL, 0, run, self, error);
    if (status != LS_OK) {
        release(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

void offload_close(offload_file *self) {
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->asked);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    release(self);
}

/* ---- requests */

static int grow(offload_file *self, ls_error *error) {
    size_t capacity = 2 * self->capacity;
    request *ring = calloc(capacity, sizeof *ring);
    if (!ring)
        return ls_fail(error, LS_FAILED, "out of memory");
    for (size_t index = 0; index < self->count; index++)
        ring[index] = self->ring[(self->first + index) % self->capacity];
    free(self->ring);
    self->ring = ring;
    self->capacity = capacity;
    self->first = 0;
    return LS_OK;
}

static int check(const offload_file *self, ls_error *error) {
    if (self->failure.code != LS_OK)
        *error = self->failure;
    return self->failure.code;
}

static int ask(offload_file *self, request what, offload_ticket *out, ls_error *error) {
    pthread_mutex_lock(&self->lock);
    int status = check(self, error);
    if (status == LS_OK && self->count == self->capacity)
        status = grow(self, error);
    if (status == LS_OK) {
        self->ring[(self->first + self->count++) % self->capacity] = what;
        *out = ++self->last;
        pthread_cond_signal(&self->asked);
    }
    pthread_mutex_unlock(&self->lock);
    return status;
}

int offload_read(offload_file *self, size_t at, size_t bytes, void *memory, offload_ticket *out,
                 ls_error *error) {
    self->totals.read_bytes += bytes;
    return ask(self, (request){.at = at, .bytes = bytes, .memory = memory}, out, error);
}

int offload_write(offload_file *self, size_t at, size_t bytes, const void *memory,
                  offload_ticket *out, ls_error *error) {
    request what = {.writes = true, .at = at, .bytes = bytes};
    memcpy(&what.memory, &memory,
           sizeof memory); /* a request's is written to only where it reads */
    self->totals.written_bytes += bytes;
    return ask(self, what, out, error);
}

int offload_wait(offload_file *self, offload_ticket ticket, ls_error *error) {
    pthread_mutex_lock(&self->lock);
    if (self->done < ticket) {
        double began = clock_seconds();
        while (self->done < ticket)
            pthread_cond_wait(&self->ended, &self->lock);
        self->totals.waited_seconds += clock_seconds() - began;
    }
    int status = check(self, error);
    pthread_mutex_unlock(&self->lock);
    return status;
}

offload_totals offload_totals_of(const offload_file *self) {
    return self->totals;
}
