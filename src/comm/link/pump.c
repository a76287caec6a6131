#include "comm/link/pump.h"
#include "base/thread.h"

#include <stdlib.h>
#include <time.h>

struct pump {
    comm *comm;
    pthread_t thread;
    pthread_mutex_t lock; /* who has it may call the comm */
    pthread_cond_t changed;
    pump_busy busy;
    void *context;
    bool working, stopping;
    ls_error error; /* of the thread */
};

static void *run(void *context) {
    static const struct timespec period = {.tv_nsec = (long)(PUMP_PERIOD_SECONDS * 1e9)};
    pump *self = context;
    pthread_mutex_lock(&self->lock);
    while (!self->stopping) {
        self->working = self->error.code == LS_OK && self->busy(self->context);
        if (!self->working) {
            pthread_cond_wait(&self->changed, &self->lock);
            continue;
        }
        self->comm->is->progress(self->comm, &self->error);
        pthread_mutex_unlock(&self->lock);
        nanosleep(&period, NULL);
        pthread_mutex_lock(&self->lock);
    }
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

int pump_start(comm *comm, pump_busy busy, void *context, pump **out, ls_error *error) {
    pump *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    self->comm = comm;
    self->busy = busy;
    self->context = context;
    pthread_mutex_init(&self->lock, NULL);
    pthread_cond_init(&self->changed, NULL);
    int status =
        thread_start(&self->thread, "progress of communication", NULL, 0, run, self, error);
    if (status != LS_OK) {
        pthread_cond_destroy(&self->changed);
        pthread_mutex_destroy(&self->lock);
        free(self);
        return status;
    }
    *out = self;
    return LS_OK;
}

void pump_stop(pump *self) {
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    self->stopping = true;
    pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self);
}

void pump_hold(pump *self) {
    if (self)
        pthread_mutex_lock(&self->lock);
}

void pump_let_go(pump *self) {
    if (!self)
        return;
    if (!self->working && self->busy(self->context))
        pthread_cond_signal(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

int pump_check(const pump *self, ls_error *error) {
    if (!self || self->error.code == LS_OK)
        return LS_OK;
    *error = self->error;
    return error->code;
}
