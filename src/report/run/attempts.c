#include "report/run/attempts.h"

#include "base/atomic_file.h"
#include "base/clock.h"
#include "base/signals.h"
#include "report/facts/files.h"

#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const double BEAT_SECONDS = 1;
enum { LEAVE_TRIES = 50, LEAVE_PAUSE_MICROSECONDS = 2000 };

struct attempts {
    char path[2200];
    attempt_record *list; /* [count], the last of which is this one */
    int count;
    bool ended;
    double written_at; /* clock */
    pthread_mutex_t mutex;
};

static _Atomic(attempts *) here; /* for the lifeline's thread */

/* ---- the file */

static int add_all(const attempts *self, text_buffer *out, ls_error *error) {
    column_table_names(out, &attempt_columns);
    for (int index = 0; index < self->count; index++)
        attempt_add_row(out, &self->list[index]);
    return text_buffer_check(out, error);
}

/* Whole, or as it was; not waiting for the disk, which a process that is killed does not need. */
static int replace(const char *path, const text_buffer *text, ls_error *error) {
    atomic_file file;
    LS_TRY(atomic_file_begin(&file, path, error));
    int descriptor = open(file.temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    bool done =
        descriptor >= 0 && write(descriptor, text->bytes, text->length) == (ssize_t)text->length;
    done = descriptor >= 0 && close(descriptor) == 0 && done;
    done = done && rename(file.temporary, path) == 0;
    int status = done ? LS_OK : ls_fail_errno(error, LS_FAILED, "%s: cannot write", path);
    atomic_file_discard(&file);
    return status;
}

static int write_all(attempts *self, bool durably, ls_error *error) {
    text_buffer text = {0};
    int status = add_all(self, &text, error);
    if (status == LS_OK && durably)
        status = atomic_file_write(self->path, text.bytes, text.length, error);
    else if (status == LS_OK)
        status = replace(self->path, &text, error);
    text_free(&text);
    self->written_at = clock_seconds();
    return status;
}

/* ---- before this one */

static bool is_of_job(const attempt_record *list, int count, const char *job) {
    for (int index = 0; index < count && job[0]; index++)
        if (strcmp(list[index].slurm_job_id, job) == 0)
            return true;
    return false;
}

static void take_earlier(attempts *self, const attempt_record *first, bool goes_on,
                         ls_error *unread) {
    *unread = (ls_error){0};
    if (access(self->path, F_OK) != 0)
        return;
    if (attempts_read(self->path, &self->list, &self->count, unread) != LS_OK)
        return;
    if (!goes_on && !is_of_job(self->list, self->count, first->slurm_job_id))
        self->count = 0;
    for (int index = 0; index < self->count; index++)
        if (strcmp(self->list[index].ended, ATTEMPT_RUNNING) == 0)
            snprintf(self->list[index].ended, sizeof self->list[index].ended, "%s", ATTEMPT_KILLED);
}

static int add(attempts *self, const attempt_record *first, ls_error *error) {
    attempt_record *list = realloc(self->list, ((size_t)self->count + 1) * sizeof *list);
    if (!list)
        return ls_fail(error, LS_FAILED, "%s: out of memory", self->path);
    self->list = list;
    list[self->count] = *first;
    list[self->count].attempt = self->count + 1;
    snprintf(list[self->count].ended, sizeof list->ended, "%s", ATTEMPT_RUNNING);
    self->count++;
    attempts_find_lost(self->list, self->count);
    return write_all(self, true, error);
}

int attempts_open(const char *folder, const attempt_record *first, bool goes_on, attempts **out,
                  ls_error *unread, ls_error *error) {
    attempts *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: out of memory", folder);
    pthread_mutex_init(&self->mutex, NULL);
    snprintf(self->path, sizeof self->path, "%.2100s/" ATTEMPTS_FILE, folder);
    take_earlier(self, first, goes_on, unread);
    int status = add(self, first, error);
    if (status != LS_OK) {
        attempts_close(self);
        return status;
    }
    atomic_store(&here, self);
    *out = self;
    return LS_OK;
}

/* ---- this one */

static void take(attempts *self, const attempt_record *now, const char *why) {
    attempt_record *mine = &self->list[self->count - 1];
    int number = mine->attempt;
    *mine = *now;
    mine->attempt = number;
    snprintf(mine->ended, sizeof mine->ended, "%s", why);
}

bool attempts_due(const attempts *self) {
    return self && clock_seconds() - self->written_at >= BEAT_SECONDS;
}

void attempts_beat(attempts *self, const attempt_record *now) {
    ls_error ignored = {0};
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    if (!self->ended) {
        take(self, now, ATTEMPT_RUNNING);
        write_all(self, false, &ignored);
    }
    pthread_mutex_unlock(&self->mutex);
}

int attempts_end(attempts *self, const attempt_record *now, const char *why, ls_error *error) {
    if (!self)
        return LS_OK;
    pthread_mutex_lock(&self->mutex);
    take(self, now, why);
    self->ended = true;
    int status = write_all(self, true, error);
    pthread_mutex_unlock(&self->mutex);
    return status;
}

attempt_sums attempts_total(const attempts *self) {
    return self ? attempts_sum(self->list, self->count)
                : (attempt_sums){.attempts = 1, .goodput = (double)NAN};
}

/* The main thread may be in a beat: that is over soon, or this process is as good as killed. */
void attempts_leave(int code) {
    attempts *self = atomic_load(&here);
    ls_error ignored = {0};
    int tries = 0;
    if (!self)
        return;
    while (pthread_mutex_trylock(&self->mutex) != 0) {
        if (++tries > LEAVE_TRIES)
            return;
        usleep(LEAVE_PAUSE_MICROSECONDS);
    }
    attempt_record *mine = &self->list[self->count - 1];
    if (!self->ended) {
        bool signalled = code > 128 && signals_end(code - 128);
        snprintf(mine->ended, sizeof mine->ended, "%s",
                 signalled ? signals_name(code - 128) : "failure");
        self->ended = true;
        write_all(self, false, &ignored);
    }
    pthread_mutex_unlock(&self->mutex);
}

void attempts_close(attempts *self) {
    if (!self)
        return;
    atomic_store(&here, NULL);
    pthread_mutex_destroy(&self->mutex);
    free(self->list);
    free(self);
}
