/* What the stand-ins for CUDA's libraries share: the emulated device of tests/emulated. The CUDA
 * runtime's stand-in implements it (runtime_*.cc); those for cuDNN, cuBLASLt and NCCL use it.
 * Test code only: nothing of the program includes this. C and C++.
 *
 * Device memory is inaccessible to the host except while device work runs. Device work runs on
 * whichever thread synchronises, queries or enqueues, at any time from the call that enqueues it
 * to the last moment that the program's own synchronisation allows: a seed decides. */
#ifndef LOCKSTEP_TESTS_EMULATED_H
#define LOCKSTEP_TESTS_EMULATED_H

#include <cuda_runtime_api.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    EMULATED_DONE,
    /* Not done and waiting for something outside (another rank): called again later with the same
     * context; in between other streams' work may run. */
    EMULATED_AGAIN
} emulated_progress;

/* One piece of device work. `context` is a copy of what was given to emulated_enqueue, fresh for
 * each run (each replay of a graph), aligned to 16 bytes; it may be written to from call to call
 * of one run. It may touch device memory, and must call no cuda* function (a violation). Work
 * that waits for other ranks must not leave a pointer to device memory with a library that touches
 * it later (a pending MPI_Irecv): it stages through host memory of its own. */
typedef emulated_progress (*emulated_work)(void *context);

/* Puts work into a stream (NULL: the legacy default stream, which here synchronises with no
 * other), in stream order; in a stream that is being captured it is recorded and runs at each
 * launch of the graph. `label` names it in texts. Both `context` and `label` are copied. Returns
 * what a launch would: cudaSuccess or the error of a capture that was spoilt. */
cudaError_t emulated_enqueue(cudaStream_t stream, emulated_work work, const void *context,
                             size_t bytes, const char *label);

/* A violation unless [pointer, pointer + bytes) lies inside one allocation of device memory that is
 * not freed; inside device work: that has also been made by then, in stream order. `what` names the
 * range ("cudnn: the filter"). NULL and 0 bytes are fine together. */
void emulated_check_device(const void *pointer, size_t bytes, const char *what);

/* The same for what a device may touch at all: device memory, or pinned host memory. */
void emulated_check_reachable(const void *pointer, size_t bytes, const char *what);

bool emulated_is_device(const void *pointer, size_t bytes);
bool emulated_is_pinned(const void *pointer, size_t bytes);
bool emulated_is_capturing(cudaStream_t stream);

/* A violation unless `stream` is NULL or a stream that lives. */
void emulated_check_stream(cudaStream_t stream, const char *what);

/* The program did what CUDA forbids or leaves undefined: prints "emulated: violation: TEXT" on
 * stderr with the label of the running work, and ends the process with EMULATED_VIOLATION_EXIT. */
#if defined(__GNUC__)
__attribute__((noreturn, format(printf, 1, 2)))
#endif
void emulated_violation(const char *format, ...);
enum { EMULATED_VIOLATION_EXIT = 86 };

/* What ends with the process must be gone by then: each kind of object of a stand-in counts itself
 * (+1 made, -1 destroyed), and a count that is not 0 at exit() is a violation. `what`: a literal,
 * "cudnnHandle_t". */
void emulated_count(const char *what, int difference);

/* 0 .. below-1, from the seed (LOCKSTEP_EMULATED_SEED). */
unsigned emulated_random(unsigned below);

/* sm_XY of the current GPU as X * 10 + Y (LOCKSTEP_EMULATED_CAPABILITY, 90 where it is not set). */
int emulated_capability(void);

#ifdef __cplusplus
}
#endif

#endif
