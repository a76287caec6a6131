#include "data/crew.h"

#include "base/clock.h"
#include "base/signals.h"
#include "base/thread.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

enum { MOST_DAMAGED = 20 }; /* files that are named */

void crew_start(crew *self) {
    pthread_mutex_init(&self->lock, NULL);
    thread_condition_init(&self->finished);
}

void crew_end(crew *self) {
    pthread_cond_destroy(&self->finished);
    pthread_mutex_destroy(&self->lock);
}

int crew_next(crew *self) {
    if (atomic_load(&self->stop))
        return -1;
    int index = atomic_fetch_add(&self->next_job, 1);
    return index < self->jobs ? index : -1;
}

/* The first waits for a second: one alone is the error itself. */
void crew_complain(crew *self, const ls_error *about) {
    void (*say)(const char *) = self->settings->complain;
    pthread_mutex_lock(&self->lock);
    int before = self->damaged_files;
    if (before == 0)
        self->damaged = *about;
    if (before == 1 && say)
        say(self->damaged.text);
    if (before > 0 && before < MOST_DAMAGED && say)
        say(about->text);
    if (++self->damaged_files >= MOST_DAMAGED)
        atomic_store(&self->stop, 1);
    pthread_mutex_unlock(&self->lock);
}

static void *worker(void *argument) {
    crew *self = argument;
    ls_error failure = {0};
    int status = self->work(self, &failure);
    pthread_mutex_lock(&self->lock);
    if (status != LS_OK) {
        ls_fail(&self->failure, status, "%s", failure.text);
        atomic_store(&self->stop, 1);
    }
    self->running--;
    pthread_cond_signal(&self->finished);
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

static int fail_damaged(const crew *self, ls_error *error) {
    int files = self->damaged_files;
    if (files == 0)
        return LS_OK;
    if (files == 1)
        return ls_fail(error, LS_BAD_INPUT, "%s", self->damaged.text);
    return ls_fail(error, LS_BAD_INPUT,
                   "pack: %d damaged files, named above%s: mend or remove them",
                   files < MOST_DAMAGED ? files : MOST_DAMAGED,
                   files < MOST_DAMAGED ? "" : ", and perhaps more");
}

static void show(crew *self, double start) {
    if (!self->settings->progress)
        return;
    self->state.done_images = atomic_load(&self->done_images);
    self->state.done_bytes = atomic_load(&self->done_bytes);
    self->state.seconds = clock_seconds() - start;
    self->settings->progress(self->settings->progress_context, &self->state);
}

/* Until all threads have ended: shows progress, and hands a signal on to them. */
static int supervise(crew *self, ls_error *error) {
    int status = LS_OK;
    double start = clock_seconds();
    pthread_mutex_lock(&self->lock);
    while (self->running > 0) {
        struct timespec until = thread_deadline(0.05);
        pthread_cond_timedwait(&self->finished, &self->lock, &until);
        if (status == LS_OK)
            status = pack_check_interrupt(self->settings, error);
        if (status != LS_OK)
            atomic_store(&self->stop, 1);
        else
            show(self, start);
    }
    if (status == LS_OK && self->failure.code != LS_OK)
        status = ls_fail(error, self->failure.code, "%s", self->failure.text);
    pthread_mutex_unlock(&self->lock);
    if (status == LS_OK)
        status = pack_check_interrupt(self->settings, error);
    return status != LS_OK ? status : fail_damaged(self, error);
}

/* Signals are for the thread that supervises. */
static int start_threads(crew *self, pthread_t *threads, int count, ls_error *error) {
    sigset_t all, before;
    int status = LS_OK, started = 0;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_mutex_lock(&self->lock);
    for (; status == LS_OK && started < count; started++) {
        int failed = pthread_create(&threads[started], NULL, worker, self);
        if (failed) {
            status = thread_fail(error, "pack", failed);
            break;
        }
        self->running++;
    }
    pthread_mutex_unlock(&self->lock);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (status != LS_OK)
        atomic_store(&self->stop, 1);
    return started;
}

int crew_run(crew *self, int threads, ls_error *error) {
    int count = threads < self->jobs ? threads : self->jobs;
    pthread_t *list = calloc((size_t)count + 1, sizeof *list);
    if (!list)
        return ls_fail(error, LS_FAILED, "pack: out of memory");
    int started = start_threads(self, list, count, error);
    int status = supervise(self, error);
    for (int index = 0; index < started; index++)
        pthread_join(list[index], NULL);
    free(list);
    return error->code != LS_OK ? error->code : status;
}
