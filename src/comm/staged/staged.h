/* mpi on memory that the host cannot address: what the files of it share.
 *
 * A collective (a job) is cut into chunks. A chunk goes through pinned memory: device to host, the
 * same collective of the mpi comm on that memory, host to device; several chunks are under way at
 * once. A thread of the comm's own drives them, in the same order on every rank, so that neither
 * the caller nor a host function of the device's queue waits in MPI. */
#ifndef LOCKSTEP_COMM_STAGED_STAGED_H
#define LOCKSTEP_COMM_STAGED_STAGED_H

#include "comm/failure.h"
#include "comm/mpi/comm_mpi.h"
#include "device/device.h"

#include <pthread.h>

enum { STAGED_JOBS = 64, STAGED_CHUNKS = 6, STAGED_CHUNK_BYTES = 1024 * 1024 };

typedef enum {
    STAGED_ALLREDUCE,
    STAGED_REDUCE_SCATTER,
    STAGED_ALLGATHER,
    STAGED_BROADCAST,
    STAGED_REDUCE,
    STAGED_SCATTER,
    STAGED_GATHER,
    STAGED_SUM_TREE, /* of one row a rank: the others were added on the device */
    STAGED_BARRIER
} staged_kind;

/* A collective: a comm_work's handle. */
typedef struct staged_job {
    staged_kind kind;
    const char *from; /* device memory; in place: the same as `to` */
    char *to;
    size_t count; /* of all ranks together */
    dtype type;
    reduction how;
    int root;
    int64_t *counts, *first; /* [size], [size + 1]: each rank's part, where it starts */
    int64_t chunks;
    device_event *start, *end; /* the caller's work before it; the result in device memory */
    bool taken, landed;        /* by a caller; `end` is recorded */
} staged_job;

typedef struct staged_chunk {
    staged_job *job;
    int64_t index;   /* in the job */
    char *memory;    /* STAGED_CHUNK_BYTES, pinned */
    int64_t *counts; /* [size]: elements of each rank's part in this chunk */
    int64_t total; /* elements in `memory`; a part of its own (scatter, gather) lies behind them */
    bool copying;  /* `copied` is recorded and was not seen complete */
    device_event *copied;
    comm_work work;
} staged_chunk;

typedef struct staged_comm {
    comm base;
    comm_settings settings;
    device *device;
    comm *inner;                     /* the mpi comm; used by the thread alone */
    device_stream *inward, *outward; /* device to host, host to device */
    staged_job jobs[STAGED_JOBS];

    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t mutex; /* guards jobs' `landed` and the next three */
    pthread_cond_t changed;
    staged_job *queue[STAGED_JOBS]; /* [n % STAGED_JOBS]: job n */
    uint64_t issued;
    bool stopping;

    /* The thread's: chunks are numbered over all jobs; chunk n lies in chunks[n % STAGED_CHUNKS];
     * freed <= landed <= begun <= assigned <= freed + STAGED_CHUNKS. */
    staged_chunk chunks[STAGED_CHUNKS];
    uint64_t assigned, begun, landed, freed;
    uint64_t current;   /* the job whose chunks are being assigned */
    int64_t next_index; /* its next chunk */
    double moved_at;    /* clock when anything last went on */
    int idle_turns;
} staged_comm;

/* Chunks of a job whose other members are set. */
int64_t staged_chunk_count(const staged_comm *self, const staged_job *job);

/* Puts chunk `index` of a job into `chunk`, and the copies of its input into the inward stream. */
int staged_copy_in(staged_comm *self, staged_job *job, int64_t index, staged_chunk *chunk,
                   ls_error *error);
/* Begins its collective on the pinned memory. */
int staged_begin(staged_comm *self, staged_chunk *chunk, ls_error *error);
/* Puts the copies of its result into the outward stream. */
int staged_copy_out(staged_comm *self, staged_chunk *chunk, ls_error *error);

/* The thread's body; `context` is the comm. */
void *staged_run(void *context);

const char *staged_kind_name(staged_kind kind);

#endif
