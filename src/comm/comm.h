/* Collectives between the ranks, on device memory. One comm_interface an implementation: alone
 * (one rank), mpi (Open MPI; memory that the host cannot address goes through pinned memory), nccl.
 *
 * Every call is collective: all ranks make the same calls in the same order on one comm. A call
 * starts after the work already in `stream` and may return before the collective is done; the
 * buffers belong to it until wait() on its work has returned (after which the results are
 * visible to what is put into that stream next). A work handle is caller-owned, small, and free
 * again after wait(). Not thread safe: one thread makes all calls of one comm. */
#ifndef LOCKSTEP_COMM_COMM_H
#define LOCKSTEP_COMM_COMM_H

#include "base/dtype.h"
#include "base/error.h"
#include "base/text_buffer.h"
#include "device/step_state.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct comm comm;
typedef struct device_stream device_stream; /* device/device.h; NULL: host memory */

typedef enum { REDUCTION_SUM, REDUCTION_MAX, REDUCTION_MIN } reduction;

typedef struct comm_work {
    void *handle; /* the implementation's own; NULL: nothing outstanding */
    /* Set before the call: in a recording, the caller has `over` written behind the wait, by a
     * kernel that runs anyway, so that a watcher sees which collective a replay has come to. Else
     * the comm puts a kernel of its own there for it, where it has a watcher. */
    bool tells;
    progress_word over;
} comm_work;

/* What begins a collective, as types: an implementation of several files declares its own by them
 * ("comm_reduce_call mpi_reduce;"). */
typedef int comm_allreduce_call(comm *self, device_stream *stream, void *buffer, size_t count,
                                dtype type, reduction how, comm_work *work, ls_error *error);
typedef int comm_reduce_scatter_call(comm *self, device_stream *stream, void *buffer,
                                     const int64_t *counts, dtype type, reduction how,
                                     comm_work *work, ls_error *error);
typedef int comm_allgather_call(comm *self, device_stream *stream, void *buffer,
                                const int64_t *counts, dtype type, comm_work *work,
                                ls_error *error);
typedef int comm_broadcast_call(comm *self, device_stream *stream, void *buffer, size_t count,
                                dtype type, int root, comm_work *work, ls_error *error);
typedef int comm_reduce_call(comm *self, device_stream *stream, void *buffer, size_t count,
                             dtype type, reduction how, int root, comm_work *work, ls_error *error);
typedef int comm_scatter_call(comm *self, device_stream *stream, const void *whole, void *part,
                              const int64_t *counts, dtype type, int root, comm_work *work,
                              ls_error *error);
typedef int comm_gather_call(comm *self, device_stream *stream, const void *part, void *whole,
                             const int64_t *counts, dtype type, int root, comm_work *work,
                             ls_error *error);
typedef int comm_sum_tree_call(comm *self, device_stream *stream, void *buffer, size_t count,
                               int rows, size_t stride, dtype type, comm_work *work,
                               ls_error *error);

/* counts[r] elements belong to rank r; rank r's part follows rank r-1's (no gaps). */
typedef struct comm_interface {
    const char *name; /* "alone", "mpi", "nccl" */
    bool capturable;  /* its calls may stand inside a device's graph recording; such a graph is
                       * destroyed before the comm is closed */

    /* In place: buffer[count] on every rank becomes the reduction over ranks. */
    comm_allreduce_call *allreduce;
    /* buffer holds sum(counts) elements; afterwards rank r's own part is reduced in place, the
     * rest is undefined. */
    comm_reduce_scatter_call *reduce_scatter;
    /* buffer holds sum(counts) elements; rank r's own part is the input, all parts the result. */
    comm_allgather_call *allgather;
    comm_broadcast_call *broadcast;
    /* In place on root; on the others `buffer` is input and afterwards undefined. */
    comm_reduce_call *reduce;
    /* whole (root only, sum(counts) elements) -> part (counts[rank] elements). */
    comm_scatter_call *scatter;
    comm_gather_call *gather;
    int (*barrier)(comm *self, ls_error *error);
    /* The sum in a fixed tree (comm/tree.h) whose leaves are the rows of all ranks, rank 0's first:
     * `rows` (a power of two) of `count` elements each, `stride` elements apart, on every rank.
     * Afterwards row 0 is the sum on every rank; the others are undefined. Which bits it has
     * depends on the leaves alone, not on how many ranks there are, where they are, or which comm
     * this is; the order of allreduce's does. DTYPE_F32; of host memory also DTYPE_F64. The first
     * call of a size may allocate. */
    comm_sum_tree_call *sum_tree;

    /* Lets the other ranks read this rank's `buffer`, which holds what they are to see: after
     * wait(), each rank may read each other's where peer() says, until that other rank has offered
     * the same memory's next contents to all. (So a rank that writes two buffers in turn, one a
     * step, never writes what is being read.) NULL, as peer: ranks cannot. */
    int (*offer)(comm *self, device_stream *stream, void *buffer, size_t bytes, comm_work *work,
                 ls_error *error);
    /* Where `rank`'s memory from the same allocate() lies for this rank; NULL: out of reach. The
     * same answer, there or not, on all ranks. */
    const void *(*peer)(const comm *self, const void *memory, int rank);

    /* Device memory (host memory where the comm is on that) for buffers of collectives:
     * zero-filled, aligned to 256 bytes. The comm can serve it faster than other memory, which
     * works as well. Collective, out of the hot loop; `what` is for the text where there is no
     * room. A call that is given such memory is given it on every rank, from the same allocate() at
     * the same place. */
    int (*allocate)(comm *self, size_t bytes, const char *what, void **out, ls_error *error);
    /* Not collective; nothing is outstanding on it. What is not released goes with the comm. */
    void (*release)(comm *self, void *memory);

    /* Makes progress on what is outstanding without blocking. On the CPU nothing else does:
     * the mode calls it between primitives. Cheap when nothing is outstanding. */
    int (*progress)(comm *self, ls_error *error);
    /* Blocks (or makes `stream` wait) until the work is done. Work with a NULL handle: no-op. */
    int (*wait)(comm *self, device_stream *stream, comm_work *work, ls_error *error);
    /* True where wait() would return at once, as far as progress has come. NULL: not known. */
    bool (*is_done)(const comm *self, const comm_work *work);
    void (*close)(comm *self);

    /* One memory for all ranks: what one writes, the others see there. Of host memory, zero-filled,
     * aligned to a page; a page is there once, with whoever wrote it first. *out NULL: there is
     * none, on any rank. Collective; `release` gives it back, and `offer` takes it: after wait() a
     * rank sees what each had written when it offered. No other call is given it. NULL: as out. */
    int (*allocate_common)(comm *self, size_t bytes, void **out, ls_error *error);
} comm_interface;

struct comm {
    const comm_interface *is;
    int rank, size;
    char note[160]; /* how it serves memory of allocate(), for the header; "": as all other */
};

static inline bool comm_is_done(const comm *self, const comm_work *work) {
    return !work->handle || (self->is->is_done && self->is->is_done(self, work));
}

typedef struct device device; /* device/device.h */

typedef struct comm_settings {
    int rank, size;
    /* 0: all ranks of the job. Else the ranks that give the same number, in the job's order, of
     * which `rank` and `size` then are; all ranks of the job open such a comm at once, and those
     * whose own comms are of one rank do too. */
    int group;
    const char *host; /* for texts */
    device *device;   /* whose memory the buffers are; NULL: host memory */
    comm *control;    /* on host memory, open: ids travel by it, GPUs are compared; NULL alone */
    /* A collective that does not end in this time fails with a text that names rank, host,
     * collective, phase and step, and the job with it. 0: none. */
    double deadline_seconds;
    /* Pinned memory that the device's stream writes as a step goes on, also inside a replayed
     * graph, of which the comm sees no call: while it says `busy`, a change in it is progress, and
     * none for deadline_seconds is a collective that hangs. Read by a watcher; NULL: none. */
    const volatile void *progress;
    size_t progress_bytes;
    bool (*progress_busy)(const volatile void *progress);
    /* "backward of step 57", for the watcher's text. */
    void (*progress_describe)(const volatile void *progress, char *out, size_t capacity);
    /* OS indices of the processing units that the comm's own threads may run on (a rank's own);
     * count 0: where the caller may. Borrowed until comm_open returns. */
    const int *processing_units;
    int processing_unit_count;
} comm_settings;

#define COMM_CHOICES "auto|nccl|mpi"

/* Opens a comm over all ranks. "auto": alone for one rank; nccl on a cuda device where no two
 * ranks share a GPU (by UUID), else mpi; mpi on any other device. "nccl" where two ranks share a
 * GPU, or on another device: LS_BAD_LAUNCH with the fix. Collective over settings->control. */
int comm_open(const char *name, const comm_settings *settings, comm **out, ls_error *error);
void comm_close(comm *self); /* NULL is fine */

/* allocate() and release() of a comm for which all memory is alike: the device's, or the host's
 * where device is NULL. */
int comm_plain_allocate(device *device, size_t bytes, const char *what, void **out,
                        ls_error *error);
void comm_plain_release(device *device, void *memory);

/* Host-memory helpers over any comm that takes host memory (blocking). */
int comm_allreduce_double(comm *self, double *values, size_t count, reduction how, ls_error *error);
/* By sum_tree: the same bits for the same leaves, a rank each, however many ranks hold one row. */
int comm_sum_tree_double(comm *self, double *values, size_t count, ls_error *error);
int comm_allreduce_int64(comm *self, int64_t *values, size_t count, reduction how, ls_error *error);
/* Every rank's `bytes`-sized record, in rank order, into all[size * bytes] on every rank. */
int comm_allgather_bytes(comm *self, const void *mine, void *all, size_t bytes, ls_error *error);
/* The root's text, of any length, becomes every rank's. */
int comm_broadcast_text(comm *self, text_buffer *text, int root, ls_error *error);
int comm_broadcast_bytes(comm *self, void *bytes, size_t count, int root, ls_error *error);

#endif
