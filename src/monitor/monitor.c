#include "monitor/monitor.h"

#include "base/clock.h"
#include "base/thread.h"
#include "monitor/series.h"
#include "monitor/totals.h"
#include "monitor/windows.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const double gpu_interval_seconds = 0.1, host_interval_seconds = 1, patience_seconds = 2;

/* All below `lock` is guarded by it, but `gpu` and `host`, which are the thread's. An NVML call is
 * made without the lock, so that a mark never waits for one. */
struct monitor {
    nvml *gpu; /* NULL: none, or no NVML */
    host host;
    double interval_seconds;
    char note[256];
    pthread_t thread;
    bool thread_started, given_up;

    pthread_mutex_t lock;
    pthread_cond_t changed; /* by CLOCK_MONOTONIC */
    bool wake, stop, ended, finished;
    unsigned long marks;
    bool level;         /* a reading has followed the last mark */
    double first_start; /* of training; NAN: not yet */
    double opened;
    windows windows;
    totals totals;
    series series;
    gpu_usage result;
    integral peeked; /* totals.utilisation when it was last looked at */
};

size_t monitor_capacity(int ranks) {
    size_t rows = ranks <= 1 ? 36000 : 131072 / (size_t)ranks;
    return rows > 36000 ? 36000 : rows < 128 ? 128 : rows;
}

static struct timespec moment(double seconds) {
    struct timespec out = {.tv_sec = (time_t)seconds};
    out.tv_nsec = (long)((seconds - (double)out.tv_sec) * 1e9);
    return out;
}

/* With the lock held; until `wake`, `stop` or the time. */
static void sleep_until(monitor *self, double time) {
    struct timespec limit = moment(time);
    while (!self->wake && !self->stop)
        if (pthread_cond_timedwait(&self->changed, &self->lock, &limit) == ETIMEDOUT)
            return;
}

/* A reading belongs to the moment before it: a mark that is made while NVML answers is later. */
static void take_sample(monitor *self) {
    static const nvml_reading nothing = {NAN, NAN, NAN, NAN, NAN, NAN, NAN, false, 0};
    nvml_reading reading = nothing;
    host_counters counters;
    usage_sample sample;
    pthread_mutex_lock(&self->lock);
    unsigned long marks = self->marks;
    pthread_mutex_unlock(&self->lock);
    host_read(&self->host, &counters);
    double time = clock_seconds();
    if (self->gpu)
        nvml_read(self->gpu, &reading);
    pthread_mutex_lock(&self->lock);
    if (!self->finished) { /* without this sample, where it was given up */
        double training_seconds = windows_advance(&self->windows, time);
        totals_add(&self->totals, time, training_seconds, &reading, &counters, &sample);
        sample.seconds = time;
        series_add(&self->series, &sample);
    }
    self->level = marks == self->marks;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

static void *run(void *argument) {
    monitor *self = argument;
    for (bool stop = false; !stop;) {
        double next = clock_seconds() + self->interval_seconds;
        take_sample(self);
        pthread_mutex_lock(&self->lock);
        if (!self->stop)
            sleep_until(self, next);
        self->wake = false;
        stop = self->stop;
        pthread_mutex_unlock(&self->lock);
    }
    take_sample(self); /* what comes after the last stop mark */
    pthread_mutex_lock(&self->lock);
    self->ended = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
    return NULL;
}

/* The creator is bound to one core of its own, which the thread need not share. */
static void allow_units(pthread_attr_t *attributes, const monitor_settings *settings) {
    cpu_set_t mask;
    CPU_ZERO(&mask);
    int allowed = 0;
    for (int index = 0; index < settings->processing_unit_count; index++)
        if (settings->processing_units[index] < CPU_SETSIZE) {
            CPU_SET((size_t)settings->processing_units[index], &mask);
            allowed++;
        }
    if (allowed > 0)
        pthread_attr_setaffinity_np(attributes, sizeof mask, &mask);
}

/* Signals are the lifeline's: this thread takes none. */
static int start_thread(monitor *self, const monitor_settings *settings, ls_error *error) {
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_attr_init(&attributes);
    allow_units(&attributes, settings);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&self->thread, &attributes, run, self);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    if (failed)
        return thread_fail(error, "monitor", failed);
    self->thread_started = true;
    return LS_OK;
}

static void open_gpu(monitor *self, const char *uuid) {
    ls_error why = {0};
    if (!uuid || !uuid[0] || nvml_open(uuid, &self->gpu, &why) == LS_OK)
        return;
    snprintf(self->note, sizeof self->note, "%.255s", why.text);
}

static void init_sync(monitor *self) {
    thread_condition_init(&self->changed);
    pthread_mutex_init(&self->lock, NULL);
}

/* With the lock held: true where `*condition` came to be in time. */
static bool wait_for(monitor *self, const bool *condition) {
    struct timespec limit = moment(clock_seconds() + patience_seconds);
    while (!*condition)
        if (pthread_cond_timedwait(&self->changed, &self->lock, &limit) == ETIMEDOUT)
            break;
    return *condition;
}

static int start(monitor *self, const monitor_settings *settings, ls_error *error) {
    LS_TRY(series_open(&self->series, settings->capacity, error));
    totals_start(&self->totals);
    host_open(&self->host);
    open_gpu(self, settings->gpu_uuid);
    self->first_start = NAN;
    self->opened = clock_seconds();
    double usual = self->gpu ? gpu_interval_seconds : host_interval_seconds;
    self->interval_seconds = settings->interval_seconds > 0 ? settings->interval_seconds : usual;
    LS_TRY(start_thread(self, settings, error));
    pthread_mutex_lock(&self->lock);
    wait_for(self, &self->totals.any);
    pthread_mutex_unlock(&self->lock);
    return LS_OK;
}

int monitor_open(const monitor_settings *settings, monitor **out, ls_error *error) {
    *out = NULL;
    monitor *self = calloc(1, sizeof *self);
    if (!self)
        return ls_fail(error, LS_FAILED, "monitor: out of memory");
    self->host.file = -1;
    init_sync(self);
    int status = start(self, settings, error);
    if (status != LS_OK)
        monitor_close(self);
    else
        *out = self;
    return status;
}

const char *monitor_note(const monitor *self) {
    return self ? self->note : "";
}

/* The thread looks at once: what it sees then is nearest to the mark. */
static void mark(monitor *self, bool start) {
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    double now = clock_seconds();
    windows_mark(&self->windows, now, start);
    if (start && isnan(self->first_start))
        self->first_start = now;
    self->marks++;
    self->level = false;
    self->wake = true;
    pthread_cond_broadcast(&self->changed);
    pthread_mutex_unlock(&self->lock);
}

void monitor_start(monitor *self) {
    mark(self, true);
}

void monitor_stop(monitor *self) {
    mark(self, false);
}

void monitor_peek(monitor *self, double *gpu_utilisation, double *gpu_memory_bytes) {
    *gpu_utilisation = *gpu_memory_bytes = NAN;
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    integral now = self->totals.utilisation;
    double covered_seconds = now.covered_seconds - self->peeked.covered_seconds;
    if (covered_seconds > 0)
        *gpu_utilisation = (now.sum - self->peeked.sum) / covered_seconds;
    *gpu_memory_bytes = self->totals.peak_memory_bytes;
    self->peeked = now;
    pthread_mutex_unlock(&self->lock);
}

monitor_energy monitor_consumed(monitor *self) {
    monitor_energy out = {NAN, NAN};
    if (!self)
        return out;
    pthread_mutex_lock(&self->lock);
    if (!self->windows.open_at_end)
        wait_for(self, &self->level);
    out.gpu = totals_gpu_energy(&self->totals, self->totals.training_seconds);
    out.cpu = totals_cpu_energy(&self->totals, self->totals.training_seconds);
    pthread_mutex_unlock(&self->lock);
    return out;
}

bool monitor_packages(char *out, size_t capacity) {
    packages *all;
    ls_error why = {0};
    bool found = packages_open(&all, &why) == LS_OK;
    if (found)
        snprintf(out, capacity, "%d CPU package%s (RAPL)", packages_count(all),
                 packages_count(all) == 1 ? "" : "s");
    else
        snprintf(out, capacity, "%s", why.text);
    packages_close(all);
    return found;
}

void monitor_clocks(monitor *self, gpu_clocks *out) {
    *out = (gpu_clocks){.sm_clock_hertz = NAN};
    if (!self)
        return;
    pthread_mutex_lock(&self->lock);
    totals_take_clocks(&self->totals, out);
    pthread_mutex_unlock(&self->lock);
}

/* With the lock held. */
static void conclude(monitor *self) {
    double origin = isnan(self->first_start) ? self->opened : self->first_start;
    for (size_t index = 0; index < self->series.capacity; index++)
        self->series.samples[index].seconds =
            index < self->series.count ? self->series.samples[index].seconds - origin : NAN;
    /* The clock goes on to now also where the thread hangs: what it did not see is missing. */
    double training_seconds = windows_advance(&self->windows, clock_seconds());
    totals_get(&self->totals, training_seconds, &self->result);
    self->result.measured &= !self->windows.lost;
    self->finished = true;
}

void monitor_finish(monitor *self, gpu_usage *out) {
    if (!self) {
        *out = (gpu_usage){0};
        return;
    }
    pthread_mutex_lock(&self->lock);
    self->stop = true;
    pthread_cond_broadcast(&self->changed);
    if (!self->finished) {
        self->given_up = !wait_for(self, &self->ended);
        conclude(self);
    }
    *out = self->result;
    pthread_mutex_unlock(&self->lock);
}

const usage_sample *monitor_samples(const monitor *self) {
    return self ? self->series.samples : NULL;
}

/* A thread that never came back from NVML still uses all this: it is left to it. */
void monitor_close(monitor *self) {
    if (!self)
        return;
    if (self->thread_started) {
        gpu_usage ignored;
        monitor_finish(self, &ignored);
        if (self->given_up) {
            pthread_detach(self->thread);
            return;
        }
        pthread_join(self->thread, NULL);
    }
    nvml_close(self->gpu);
    host_close(&self->host);
    series_close(&self->series);
    pthread_cond_destroy(&self->changed);
    pthread_mutex_destroy(&self->lock);
    free(self);
}
