/* The nccl comm: how a collective is put between two streams, and what NCCL answers. */
#include "cuda/nccl/comm_nccl.h"

#include "base/clock.h"
#include "base/ending.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int nccl_cuda_check(cudaError_t status, const char *what, ls_error *error) {
    if (status == cudaSuccess)
        return LS_OK;
    cudaGetLastError();
    return ls_fail(error, LS_FAILED, "nccl: %s: %s (%s)", what, cudaGetErrorString(status),
                   cudaGetErrorName(status));
}

/* ---- NCCL's answers */

int nccl_failed(nccl_comm *self, ncclResult_t result, const collective_name *name,
                ls_error *error) {
    char trouble[512];
    const char *detail = ncclGetLastError(self->nccl);
    snprintf(trouble, sizeof trouble, "failed (%s%s%s)", ncclGetErrorString(result),
             detail && *detail ? ": " : "", detail && *detail ? detail : "");
    return comm_trouble(&self->settings, "nccl", name, trouble, error);
}

collective_name nccl_suspect(nccl_comm *self) {
    pthread_mutex_lock(&self->mutex);
    collective_name name = self->now;
    if (!self->recording)
        nccl_look_for_ends(self);
    if (self->ended < self->issued)
        name = self->slots[self->ended % NCCL_SLOTS].name;
    uint32_t reached = *self->reached;
    if (!name.what && reached > 0 && reached <= self->recordings)
        name = self->names[reached - 1];
    pthread_mutex_unlock(&self->mutex);
    if (!name.what)
        name.what = "communicator";
    return name;
}

void nccl_let_origin_speak(ncclResult_t result) {
    enum { PATIENCE_SECONDS = 2 };
    if (result == ncclRemoteError)
        sleep(PATIENCE_SECONDS);
}

/* With the other ranks joined, a failure ends the job here: only so is the communicator aborted
 * beside it. Called with `api` held. */
static int fail(nccl_comm *self, ncclResult_t result, const ls_error *error) {
    if (!self->joined)
        return error->code;
    self->told = true;
    pthread_mutex_unlock(&self->api);
    nccl_let_origin_speak(result);
    ending_hold();
    comm_fail(error, nccl_abort, self);
}

int nccl_settle(nccl_comm *self, ncclResult_t result, ls_error *error) {
    double deadline = self->settings.deadline_seconds, since = clock_seconds();
    collective_name name = self->now;
    while (result == ncclInProgress) {
        pthread_mutex_unlock(&self->api); /* the watcher may look, or abort */
        ending_hold();
        sched_yield();
        pthread_mutex_lock(&self->api);
        ncclResult_t asked = ncclCommGetAsyncError(self->nccl, &result);
        if (asked != ncclSuccess)
            result = asked;
        if (result != ncclSuccess && result != ncclInProgress)
            name = nccl_suspect(self); /* an error that has come meanwhile may be another's */
        if (result == ncclInProgress && deadline > 0 && clock_seconds() - since > deadline) {
            comm_overdue(&self->settings, "nccl", &name, error);
            return fail(self, result, error);
        }
    }
    if (result == ncclSuccess)
        return LS_OK;
    nccl_failed(self, result, &name, error);
    return fail(self, result, error);
}

/* ---- slots */

void nccl_look_for_ends(nccl_comm *self) {
    while (self->ended < self->issued) {
        cudaError_t status = cudaEventQuery(self->slots[self->ended % NCCL_SLOTS].end);
        if (status == cudaErrorNotReady) {
            cudaGetLastError(); /* it is no error, but is remembered as one */
            return;
        }
        self->ended++; /* or the GPU is broken, which its own calls say */
    }
}

/* Waits where the host is NCCL_SLOTS collectives ahead of the GPU. */
static int take_eager_slot(nccl_comm *self, const collective_name *name, nccl_slot **out,
                           ls_error *error) {
    pthread_mutex_lock(&self->mutex);
    while (self->issued - self->ended == NCCL_SLOTS) {
        nccl_look_for_ends(self);
        pthread_mutex_unlock(&self->mutex);
        ending_hold();
        sched_yield();
        pthread_mutex_lock(&self->mutex);
    }
    pthread_mutex_unlock(&self->mutex);
    *out = &self->slots[self->issued % NCCL_SLOTS];
    if ((*out)->held)
        return ls_fail(error, LS_FAILED,
                       "nccl %s: %d collectives are outstanding, more than comm holds", name->what,
                       NCCL_SLOTS);
    return LS_OK;
}

static int take_recorded_slot(nccl_comm *self, const collective_name *name, nccl_slot **out,
                              ls_error *error) {
    for (int index = 0; index < NCCL_RECORDED_SLOTS; index++)
        if (!self->recorded[index].held) {
            *out = &self->recorded[index];
            return LS_OK;
        }
    return ls_fail(error, LS_FAILED,
                   "nccl %s: %d collectives are outstanding in a recording, more than comm holds",
                   name->what, NCCL_RECORDED_SLOTS);
}

/* From now on the watcher sees it. */
static void show_to_watcher(nccl_comm *self) {
    pthread_mutex_lock(&self->mutex);
    self->issued++;
    pthread_mutex_unlock(&self->mutex);
}

/* ---- between the streams */

static int keep_name(nccl_comm *self, const collective_name *name, ls_error *error) {
    uint32_t count = self->recordings;
    pthread_mutex_lock(&self->mutex);
    collective_name *names = self->names;
    if ((count & (count - 1)) == 0) /* it is full */
        names = realloc(names, (count ? 2 * (size_t)count : 1) * sizeof *names);
    if (names) {
        self->names = names;
        names[count] = *name;
        self->recordings++;
    }
    pthread_mutex_unlock(&self->mutex);
    return names ? LS_OK : ls_fail(error, LS_FAILED, "nccl %s: out of memory", name->what);
}

/* In a recording: so that a replay tells which collective it has come to; by the caller, which says
 * behind its wait that the next one is at work, or by a kernel before the collective. */
static int record_name(nccl_comm *self, const collective_name *name, comm_work *work,
                       ls_error *error) {
    const device *device = self->settings.device;
    LS_TRY(keep_name(self, name, error));
    if (work->tells) {
        work->over = (progress_word){(uint32_t *)self->reached, self->recordings + 1};
        return LS_OK;
    }
    return device->is->write_word(self->settings.device, (device_stream *)self->stream,
                                  (uint32_t *)self->reached, self->recordings, error);
}

void nccl_set_now(nccl_comm *self, collective_name name, bool recording) {
    pthread_mutex_lock(&self->mutex);
    self->now = name;
    self->recording = recording;
    pthread_mutex_unlock(&self->mutex);
}

/* NCCL refuses calls after an error of an earlier one: that one is to be named. */
static int put(nccl_comm *self, const nccl_call *call, bool recording, ls_error *error) {
    ncclResult_t before = ncclSuccess;
    pthread_mutex_lock(&self->api);
    if (ncclCommGetAsyncError(self->nccl, &before) == ncclSuccess && before != ncclSuccess) {
        collective_name name = nccl_suspect(self);
        nccl_failed(self, before, &name, error);
        return fail(self, before, error);
    }
    nccl_set_now(self, call->name, recording);
    int status = nccl_settle(self, call->put(self, call), error);
    nccl_set_now(self, (collective_name){0}, false);
    pthread_mutex_unlock(&self->api);
    return status;
}

int nccl_issue(nccl_comm *self, device_stream *stream, const nccl_call *call, comm_work *work,
               ls_error *error) {
    enum cudaStreamCaptureStatus capture = cudaStreamCaptureStatusNone;
    nccl_slot *slot = NULL;
    ending_hold();
    cuda_enter(self->settings.device);
    if (!stream)
        return ls_fail(error, LS_FAILED, "nccl %s: host memory given to a comm of device memory",
                       call->name.what);
    LS_TRY(nccl_cuda_check(cudaStreamIsCapturing(cuda_stream(stream), &capture),
                           "asking about a recording", error));
    bool eager = capture == cudaStreamCaptureStatusNone;
    LS_TRY(eager ? take_eager_slot(self, &call->name, &slot, error)
                 : take_recorded_slot(self, &call->name, &slot, error));
    slot->name = call->name;
    LS_TRY(nccl_cuda_check(cudaEventRecord(slot->start, cuda_stream(stream)), "recording an event",
                           error));
    LS_TRY(nccl_cuda_check(cudaStreamWaitEvent(self->stream, slot->start, 0),
                           "waiting for an event", error));
    work->over = (progress_word){0};
    if (!eager)
        LS_TRY(record_name(self, &call->name, work, error));
    LS_TRY(put(self, call, !eager, error));
    LS_TRY(nccl_cuda_check(cudaEventRecord(slot->end, self->stream), "recording an event", error));
    slot->held = true;
    work->handle = slot;
    if (eager)
        show_to_watcher(self);
    return LS_OK;
}

int nccl_wait(comm *base, device_stream *stream, comm_work *work, ls_error *error) {
    nccl_slot *slot = work->handle;
    if (!slot)
        return LS_OK;
    ending_hold();
    cuda_enter(((nccl_comm *)base)->settings.device);
    if (stream)
        LS_TRY(nccl_cuda_check(cudaStreamWaitEvent(cuda_stream(stream), slot->end, 0),
                               "waiting for an event", error));
    else
        LS_TRY(nccl_cuda_check(cudaEventSynchronize(slot->end), "waiting for an event", error));
    ending_hold(); /* what an aborted collective left is not the result */
    slot->held = false;
    work->handle = NULL;
    return LS_OK;
}

/* NCCL has none, and the ranks' hosts are what is to meet. */
int nccl_barrier(comm *base, ls_error *error) {
    comm *control = ((nccl_comm *)base)->settings.control;
    return control ? control->is->barrier(control, error) : LS_OK;
}

int nccl_progress(comm *base, ls_error *error) {
    (void)base, (void)error;
    ending_hold();
    return LS_OK;
}
