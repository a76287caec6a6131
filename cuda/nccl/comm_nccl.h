/* The nccl comm: what its files share.
 *
 * Collectives run on a stream of the comm's own: it waits for an event in the caller's stream, and
 * wait() makes the caller's stream wait for an event behind the collective. So all of it can stand
 * in a recording. NCCL's communicator is non-blocking: a call may come back in progress and is then
 * asked about until it is not, with a deadline. NCCL lets several threads use one communicator as
 * long as one does at a time (NCCL User Guide, "Thread Safety"): `api` sees to that.
 *
 * A watcher thread looks for NCCL's asynchronous errors and for collectives that do not end. Those
 * of a replayed graph make no calls: there settings->progress tells that a step is under way, and a
 * word that a stream writes tells which one it has reached (comm_work.over). */
#ifndef LOCKSTEP_CUDA_NCCL_COMM_NCCL_H
#define LOCKSTEP_CUDA_NCCL_COMM_NCCL_H

#include "comm/comm.h"
#include "comm/failure.h"
#include "cuda/device/cuda_device.h"

#include <nccl.h>
#include <pthread.h>

enum {
    NCCL_SLOTS = 256,        /* eager collectives that the GPU has not ended */
    NCCL_RECORDED_SLOTS = 64 /* begun and not waited for in a recording */
};

/* A comm_work's handle. */
typedef struct nccl_slot {
    cudaEvent_t start, end; /* in the caller's stream; behind the collective */
    bool held;              /* a caller has not waited for it */
    collective_name name;
} nccl_slot;

typedef struct nccl_comm {
    comm base;
    comm_settings settings;
    ncclComm_t nccl;
    bool joined; /* with the other ranks */
    cudaStream_t stream;
    pthread_mutex_t api; /* one thread in NCCL at a time */
    bool told;           /* under `api`: the caller's thread ends the job */

    /* Guards what the watcher shares with the caller: the next five, names, and stopping. */
    pthread_mutex_t mutex;
    bool recording;      /* the caller's thread, which may ask for no event meanwhile */
    collective_name now; /* the call that NCCL has not returned from for good */
    /* Eager collective n has slots[n % NCCL_SLOTS]. */
    nccl_slot slots[NCCL_SLOTS];
    uint64_t issued, ended;

    /* Recorded ones, of all recordings, for any may be replayed. Number n has names[n]; *reached is
     * n + 1 of the latest that the stream has come to. */
    nccl_slot recorded[NCCL_RECORDED_SLOTS];
    collective_name *names; /* [recordings]; room for the next power of two */
    uint32_t recordings;
    volatile uint32_t *reached; /* pinned */

    void *scratch; /* device memory: of sum_tree, in the order of `stream` */
    size_t scratch_bytes;

    pthread_t watcher;
    pthread_cond_t wake;
    bool watched, stopping;
} nccl_comm;

/* LS_FAILED with CUDA's text where the call failed. */
int nccl_cuda_check(cudaError_t status, const char *what, ls_error *error);

/* What NCCL is asked for from now on, for the watcher's text; {0}: nothing. */
void nccl_set_now(nccl_comm *self, collective_name name, bool recording);

/* LS_FAILED with NCCL's texts for a result that is no success. */
int nccl_failed(nccl_comm *self, ncclResult_t result, const collective_name *name, ls_error *error);

/* The collective to name for what no call returned: the oldest that has not ended, else the call
 * that NCCL works at, else the latest that a replay has come to. */
collective_name nccl_suspect(nccl_comm *self);

/* After an NCCL call that gave `result`: polls until it is not in progress. A failure ends the job
 * once the ranks have joined; before, it is returned. Called and returns with `api` held. */
int nccl_settle(nccl_comm *self, ncclResult_t result, ls_error *error);

/* Marks as ended what the GPU has ended. Under `mutex`; not by a thread that records. */
void nccl_look_for_ends(nccl_comm *self);

/* comm_nccl_watch.c */
int nccl_watch(nccl_comm *self, ls_error *error);
void nccl_unwatch(nccl_comm *self);
/* For comm_fail; `context` is the comm. */
void nccl_abort(void *context);

/* A remote error is the echo of another rank's: gives that rank time to say what happened, which
 * ends this process. */
void nccl_let_origin_speak(ncclResult_t result);

/* comm_nccl_calls.c: the members of comm_interface that begin a collective. */
comm_allreduce_call nccl_allreduce;
comm_reduce_scatter_call nccl_reduce_scatter;
comm_allgather_call nccl_allgather;
comm_broadcast_call nccl_broadcast;
comm_reduce_call nccl_reduce;
comm_scatter_call nccl_scatter;
comm_gather_call nccl_gather;

/* comm_nccl_tree.c */
comm_sum_tree_call nccl_sum_tree;

/* A collective as it is put into a stream. Counts are elements. */
typedef struct nccl_call {
    collective_name name; /* name.count: of all ranks together */
    const char *from;
    char *to;
    const int64_t *counts; /* NULL: the ranks have no parts */
    reduction how;
    int root;
    /* Puts it into self->stream by NCCL calls; `api` is held. */
    ncclResult_t (*put)(nccl_comm *self, const struct nccl_call *call);
} nccl_call;

int nccl_wait(comm *base, device_stream *stream, comm_work *work, ls_error *error);
int nccl_barrier(comm *base, ls_error *error);
int nccl_progress(comm *base, ls_error *error);

/* comm_nccl.c: the caller's stream, the comm's and NCCL meet. */
int nccl_issue(nccl_comm *self, device_stream *stream, const nccl_call *call, comm_work *work,
               ls_error *error);

#endif
