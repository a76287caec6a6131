#include "checkpoint/background.h"

#include "base/thread.h"

#include <sched.h>
#include <stdlib.h>

struct background {
    pthread_t thread;
    bool started, stop;
    bool busy;           /* its owner's */
    bool waiting, ended; /* a task; between the two threads, as the rest */
    int (*task)(void *context, ls_error *error);
    void *context;
    int status;
    ls_error error;
    pthread_mutex_t lock;
    pthread_cond_t changed;
};

/* Its own thread gets its share of the cores, but takes none from a computing thread at the moment
 * it is woken: that one would stand still for a time slice. (sched(7): SCHED_BATCH) */
static void stand_back(void) {
    struct sched_param none = {0};
    pthread_setschedparam(pthread_self(), SCHED_BATCH, &none); /* a wish, where it is refused */
}

static void *run(void *argument) {
    background *self = argument;
    stand_back();
    pthread_mutex_lock(&self->lock);
    for (;;) {
        while (!self->waiting && !self->stop)
            pthread_cond_wait(&self->changed, &self->lock);
        if (!self->waiting)
            break;
        self->waiting = false;
        pthread_mutex_unlock(&self->lock);
        ls_error error = {0};
        int status = self->task(self->context, &error);
        pthread_mutex_lock(&self->lock);
        self->status = status;
        self->error = error;
        self->ended = true;
        pthread_cond_broadcast(&self->changed);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

int background_open(const char *name, const int *processing_units, int count, background **out,
                    ls_error *error) {
    background *self = calloc(1, sizeof *self);
    *out = self;
    if (!self)
        return ls_fail(error, LS_FAILED, "%s: out of memory", name);
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    LS_TRY(thread_start(&self->thread, name, processing_units, count, run, self, error));
    self->started = true;
    return LS_OK;
}

void background_start(background *self, int (*task)(void *context, ls_error *error),
                      void *context) {
    pthread_mutex_lock(&self->lock);
    self->task = task;
    self->context = context;
    self->busy = self->waiting = true;
    self->ended = false;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

bool background_busy(const background *self) {
    return self->busy;
}

bool background_done(background *self) {
    pthread_mutex_lock(&self->lock);
    bool ended = self->busy && self->ended;
    pthread_mutex_unlock(&self->lock);
    return ended;
}

void background_wait(background *self) {
    pthread_mutex_lock(&self->lock);
    while (self->busy && !self->ended)
        pthread_cond_wait(&self->changed, &self->lock);
    pthread_mutex_unlock(&self->lock);
}

int background_take(background *self, ls_error *error) {
    if (!self->busy)
        return LS_OK;
    pthread_mutex_lock(&self->lock);
    while (!self->ended)
        pthread_cond_wait(&self->changed, &self->lock);
    self->busy = self->ended = false;
    int status = self->status;
    pthread_mutex_unlock(&self->lock);
    return status == LS_OK ? LS_OK : ls_fail(error, status, "%s", self->error.text);
}

void background_close(background *self) {
    if (!self)
        return;
    if (self->started) {
        pthread_mutex_lock(&self->lock);
        self->stop = true;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->lock);
        pthread_join(self->thread, NULL);
    }
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self);
}
