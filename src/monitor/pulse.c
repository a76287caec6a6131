#include "monitor/pulse.h"

#include "base/thread.h"

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <time.h>

static const double patience_seconds = 2;

struct pulse {
    pthread_t thread;
    pthread_mutex_t mutex; /* of what follows */
    pthread_cond_t changed;
    bool ending;
    double beat_at; /* by CLOCK_BOOTTIME */
    double stopped_seconds;
};

static double boot_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

double pulse_judge(double slept_seconds, int continued) {
    double beyond = slept_seconds - PULSE_SECONDS;
    return beyond > (continued ? PULSE_STOPPED_SECONDS : PULSE_FROZEN_SECONDS) ? beyond : 0;
}

/* Sleeps for so long at most; true where a SIGCONT ended that. */
static bool sleep_for(double seconds) {
    struct timespec interval = {.tv_nsec = (long)(seconds * 1e9)};
    sigset_t continued;
    sigemptyset(&continued);
    sigaddset(&continued, SIGCONT);
    return sigtimedwait(&continued, NULL, &interval) == SIGCONT;
}

static void *run(void *context) {
    pulse *self = context;
    bool ending = false;
    while (!ending) {
        /* A stop ends the first call before there is a SIGCONT; the second finds it. */
        bool continued = sleep_for(PULSE_SECONDS) || sleep_for(0);
        double now = boot_seconds();
        pthread_mutex_lock(&self->mutex);
        self->stopped_seconds += pulse_judge(now - self->beat_at, continued);
        self->beat_at = now;
        ending = self->ending;
        pthread_cond_broadcast(&self->changed);
        pthread_mutex_unlock(&self->mutex);
    }
    return NULL;
}

int pulse_open(pulse **out, ls_error *error) {
    pulse *self = calloc(1, sizeof *self);
    *out = NULL;
    if (!self)
        return ls_fail(error, LS_FAILED, "out of memory");
    pthread_mutex_init(&self->mutex, NULL);
    thread_condition_init(&self->changed);
    self->beat_at = boot_seconds();
    int status = thread_start(&self->thread, "pulse", NULL, 0, run, self, error);
    if (status != LS_OK)
        free(self);
    else
        *out = self;
    return status;
}

double pulse_stopped_seconds(pulse *self) {
    if (!self)
        return 0;
    struct timespec until = thread_deadline(patience_seconds);
    pthread_mutex_lock(&self->mutex);
    int late = 0;
    while (late == 0 && boot_seconds() - self->beat_at > PULSE_SECONDS + PULSE_STOPPED_SECONDS)
        late = pthread_cond_timedwait(&self->changed, &self->mutex, &until);
    double stopped = self->stopped_seconds;
    pthread_mutex_unlock(&self->mutex);
    return stopped;
}

void pulse_close(pulse *self) {
    if (!self)
        return;
    pthread_mutex_lock(&self->mutex);
    self->ending = true;
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->thread, NULL);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->mutex);
    free(self);
}
