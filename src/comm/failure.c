#include "comm/failure.h"

#include "base/ending.h"
#include "launch/lifeline.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

int comm_trouble(const comm_settings *settings, const char *comm, const collective_name *name,
                 const char *trouble, ls_error *error) {
    char where[96], progress[96], device[128] = "";
    lifeline_where(where, sizeof where);
    if (settings->progress && settings->progress_busy(settings->progress)) {
        settings->progress_describe(settings->progress, progress, sizeof progress);
        snprintf(device, sizeof device, " (the device: %s)", progress);
    }
    if (name->what && name->count > 0)
        return ls_fail(error, LS_FAILED, "%s %s of %zu %s %s%s%s", comm, name->what, name->count,
                       dtype_name(name->type), trouble, where, device);
    return ls_fail(error, LS_FAILED, "%s%s%s %s%s%s", comm, name->what ? " " : "",
                   name->what ? name->what : "", trouble, where, device);
}

int comm_overdue(const comm_settings *settings, const char *comm, const collective_name *name,
                 ls_error *error) {
    char trouble[160];
    snprintf(trouble, sizeof trouble,
             "has not ended for %g s (a rank has not joined it, or the network stands still; "
             "--comm-timeout)",
             settings->deadline_seconds);
    return comm_trouble(settings, comm, name, trouble, error);
}

typedef struct abortion {
    void (*run)(void *context);
    void *context;
} abortion;

static void *run_abort(void *argument) {
    abortion *what = argument;
    what->run(what->context);
    return NULL;
}

_Noreturn void comm_fail(const ls_error *error, void (*abort_comm)(void *context), void *context) {
    static abortion what; /* outlives this call's frame for the other thread; the first one's */
    static atomic_flag started = ATOMIC_FLAG_INIT;
    pthread_t thread;
    ending_begin();
    if (abort_comm && !atomic_flag_test_and_set(&started)) {
        what = (abortion){.run = abort_comm, .context = context};
        if (pthread_create(&thread, NULL, run_abort, &what) == 0)
            pthread_detach(thread);
    }
    lifeline_fail(error, 0);
}
