#include "base/thread.h"

#include "base/local_limits.h"

#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int allow_units(pthread_attr_t *attributes, const char *what, const int *units, int count,
                       ls_error *error) {
    int highest = 0;
    for (int index = 0; index < count; index++)
        if (units[index] > highest)
            highest = units[index];
    if (count == 0)
        return LS_OK;
    size_t bytes = CPU_ALLOC_SIZE(highest + 1);
    cpu_set_t *mask = CPU_ALLOC((size_t)highest + 1);
    if (!mask)
        return ls_fail(error, LS_FAILED, "%s: out of memory", what);
    CPU_ZERO_S(bytes, mask);
    for (int index = 0; index < count; index++)
        CPU_SET_S((size_t)units[index], bytes, mask);
    int failed = pthread_attr_setaffinity_np(attributes, bytes, mask);
    CPU_FREE(mask);
    if (failed)
        return ls_fail(error, LS_FAILED, "%s: cannot run on processing unit %d: %s", what, highest,
                       strerror(failed));
    return LS_OK;
}

int thread_start(pthread_t *out, const char *what, const int *processing_units, int count,
                 void *(*run)(void *), void *context, ls_error *error) {
    sigset_t all, before;
    pthread_attr_t attributes;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_init(&attributes);
    int status = allow_units(&attributes, what, processing_units, count, error);
    int failed = status == LS_OK ? pthread_create(out, &attributes, run, context) : 0;
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    LS_TRY(status);
    return failed ? thread_fail(error, what, failed) : LS_OK;
}

/* Stays until it may end. */
static void *stay(void *context) {
    pthread_mutex_t *gate = context;
    pthread_mutex_lock(gate);
    pthread_mutex_unlock(gate);
    return NULL;
}

int thread_check(const char *what, int count, ls_error *error) {
    pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;
    pthread_t *threads = calloc((size_t)count + 1, sizeof *threads);
    int status = threads ? LS_OK : ls_fail(error, LS_FAILED, "%s: out of memory", what),
        started = 0;
    pthread_mutex_lock(&gate);
    while (status == LS_OK && started < count) {
        status = thread_start(&threads[started], what, NULL, 0, stay, &gate, error);
        started += status == LS_OK;
    }
    pthread_mutex_unlock(&gate);
    while (started > 0)
        pthread_join(threads[--started], NULL);
    pthread_mutex_destroy(&gate);
    free(threads);
    return status;
}

void thread_condition_init(pthread_cond_t *out) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(out, &attributes);
    pthread_condattr_destroy(&attributes);
}

struct timespec thread_deadline(double seconds) {
    enum { SECOND = 1000 * 1000 * 1000 };
    struct timespec out;
    clock_gettime(CLOCK_MONOTONIC, &out);
    out.tv_sec += (time_t)seconds;
    out.tv_nsec += (long)((seconds - (double)(time_t)seconds) * SECOND);
    out.tv_sec += out.tv_nsec / SECOND;
    out.tv_nsec %= SECOND;
    return out;
}

int thread_fail(ls_error *error, const char *what, int number) {
    char hint[160];
    limits_thread_hint(number, hint, sizeof hint);
    return ls_fail(error, LS_FAILED, "%s: cannot start a thread: %s%s", what, strerror(number),
                   hint);
}
