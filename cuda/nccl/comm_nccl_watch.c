/* The watcher of an nccl comm: a thread that sees what no call returns. NCCL's asynchronous
 * errors (a rank's process is gone, a network fault), eager collectives that the GPU has begun and
 * does not end, and replayed steps that stand still. Any of them ends the job with one line. */
#include "cuda/nccl/comm_nccl.h"

#include "base/clock.h"
#include "base/thread.h"

#include <time.h>

/* What a look at the GPU compares with the one before. */
typedef struct watch {
    uint64_t oldest;     /* the eager collective that was not ended */
    double oldest_since; /* when it was first seen begun; 0: it was not */
    char progress[256];  /* a copy of settings->progress */
    uint32_t reached;
    double progress_since; /* when either last changed */
} watch;

void nccl_abort(void *context) {
    enum { PATIENCE_SECONDS = 2 };
    nccl_comm *self = context;
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_SECONDS;
    /* A call that NCCL does not return from keeps the lock: then abort beside it. */
    pthread_mutex_timedlock(&self->api, &until);
    cuda_enter(self->settings.device);
    ncclCommAbort(self->nccl);
}

static _Noreturn void fail(nccl_comm *self, const ls_error *error) {
    comm_fail(error, nccl_abort, self);
}

static void look_at_errors(nccl_comm *self) {
    ncclResult_t state = ncclSuccess;
    ls_error error = {0};
    if (pthread_mutex_trylock(&self->api) != 0)
        return; /* the caller's thread asks NCCL itself */
    ncclResult_t asked = ncclCommGetAsyncError(self->nccl, &state);
    if (asked != ncclSuccess)
        state = asked;
    if (!self->told && state != ncclSuccess && state != ncclInProgress) {
        collective_name name = nccl_suspect(self);
        nccl_failed(self, state, &name, &error);
    }
    pthread_mutex_unlock(&self->api);
    if (error.code == LS_OK)
        return;
    nccl_let_origin_speak(state);
    fail(self, &error);
}

/* True once the GPU has come to it. Under `mutex`. */
static bool has_begun(const nccl_slot *slot) {
    cudaError_t status = cudaEventQuery(slot->start);
    if (status == cudaErrorNotReady)
        cudaGetLastError();
    return status != cudaErrorNotReady;
}

static void look_at_eager(nccl_comm *self, watch *last, double now) {
    double deadline = self->settings.deadline_seconds;
    ls_error error = {0};
    pthread_mutex_lock(&self->mutex);
    nccl_look_for_ends(self);
    bool waits = self->ended < self->issued;
    const nccl_slot *slot = &self->slots[self->ended % NCCL_SLOTS];
    if (!waits || last->oldest != self->ended) {
        last->oldest = self->ended;
        last->oldest_since = 0;
    }
    if (waits && last->oldest_since == 0 && has_begun(slot))
        last->oldest_since = now;
    bool late = waits && last->oldest_since > 0 && now - last->oldest_since > deadline;
    if (late)
        comm_overdue(&self->settings, "nccl", &slot->name, &error);
    pthread_mutex_unlock(&self->mutex);
    if (late)
        fail(self, &error);
}

/* The stream writes these words as it goes; a torn copy only looks like one more change. */
static bool has_moved(nccl_comm *self, watch *last) {
    const volatile char *progress = self->settings.progress;
    size_t bytes = self->settings.progress_bytes;
    bool moved = last->reached != *self->reached;
    last->reached = *self->reached;
    for (size_t index = 0; index < bytes && index < sizeof last->progress; index++) {
        char byte = progress[index];
        moved = moved || byte != last->progress[index];
        last->progress[index] = byte;
    }
    return moved;
}

static void look_at_replay(nccl_comm *self, watch *last, double now) {
    ls_error error = {0};
    if (!self->settings.progress)
        return;
    bool moved = has_moved(self, last);
    if (moved || !self->settings.progress_busy(self->settings.progress) || *self->reached == 0) {
        last->progress_since = now;
        return;
    }
    if (now - last->progress_since <= self->settings.deadline_seconds)
        return;
    collective_name name = nccl_suspect(self);
    comm_overdue(&self->settings, "nccl", &name, &error);
    fail(self, &error);
}

/* False when the comm is being closed. */
static bool rest(nccl_comm *self) {
    enum { PERIOD_NANOSECONDS = 20 * 1000 * 1000, SECOND = 1000 * 1000 * 1000 };
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += PERIOD_NANOSECONDS;
    if (until.tv_nsec >= SECOND) {
        until.tv_nsec -= SECOND;
        until.tv_sec++;
    }
    pthread_mutex_lock(&self->mutex);
    while (!self->stopping && pthread_cond_timedwait(&self->wake, &self->mutex, &until) == 0)
        ;
    bool goes_on = !self->stopping;
    pthread_mutex_unlock(&self->mutex);
    return goes_on;
}

static void *run(void *context) {
    nccl_comm *self = context;
    watch last = {.progress_since = clock_seconds()};
    cuda_enter(self->settings.device); /* this thread's first CUDA call makes no other context */
    while (rest(self)) {
        double now = clock_seconds();
        look_at_errors(self);
        if (self->settings.deadline_seconds > 0) {
            look_at_eager(self, &last, now);
            look_at_replay(self, &last, now);
        }
    }
    return NULL;
}

int nccl_watch(nccl_comm *self, ls_error *error) {
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(&self->wake, &attributes);
    pthread_condattr_destroy(&attributes);
    LS_TRY(thread_start(&self->watcher, "comm nccl", self->settings.processing_units,
                        self->settings.processing_unit_count, run, self, error));
    self->watched = true;
    return LS_OK;
}

void nccl_unwatch(nccl_comm *self) {
    if (!self->watched)
        return;
    pthread_mutex_lock(&self->mutex);
    self->stopping = true;
    pthread_cond_broadcast(&self->wake);
    pthread_mutex_unlock(&self->mutex);
    pthread_join(self->watcher, NULL);
    self->watched = false;
}
