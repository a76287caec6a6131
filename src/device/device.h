/* A device: the only way to own memory that is computed on, or to compute. One device_interface an
 * implementation (ref, cpu, cuda), ended by a designated initialiser; src/device/device.c holds
 * the only list of them.
 *
 * Streams: work put into one stream runs in order; on ref and cpu a call returns when its work is
 * done, a stream is a token and events are always complete. Where `asynchronous`, a call returns
 * when its work is queued. Memory from allocate() may not be touched by the host unless
 * `host_addressable`. Copies, streams and events may be used by several threads at once, though not
 * one stream or event by two. A member that says NULL may be NULL where the device has no such
 * thing. Errors: LS_BAD_LAUNCH for a device that is missing, LS_FAILED while running. */
#ifndef LOCKSTEP_DEVICE_DEVICE_H
#define LOCKSTEP_DEVICE_DEVICE_H

#include "base/dtype.h"
#include "base/error.h"
#include "base/precision.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct device device;
typedef struct device_stream device_stream;
typedef struct device_event device_event;
typedef struct device_graph device_graph; /* recorded work, replayed by one launch */
typedef struct ops ops;                   /* device/ops.h */
typedef struct op op;                     /* device/op.h */
typedef struct plan plan;                 /* a prepared op of one device */

/* What of several streams runs first where the device cannot run all at once: what others wait for
 * before what nobody does yet. */
typedef enum { STREAM_LAST, STREAM_NORMAL, STREAM_FIRST } stream_urgency;

typedef enum { COPY_HOST_TO_DEVICE, COPY_DEVICE_TO_HOST, COPY_ON_DEVICE } copy_kind;

typedef struct device_request {
    int local_rank, local_size; /* which GPU of the node */
    int threads;                /* compute threads of this rank (cpu) */
    /* Called once on each compute thread (0 .. threads-1) to bind it to its core; may be NULL. */
    void (*bind_thread)(void *context, int thread);
    void *bind_context;
    bool share_gpu; /* more local ranks than GPUs is what the user wants */
    /* Where the choices of algorithms are kept between runs ("": nowhere). Only a rank that
     * chooses (rank 0 of the run) is given one. */
    const char *plan_cache;
    /* Algorithms are the library's first deterministic offer, not the fastest by time: what is
     * timed, or was kept by another run, may be another one in the next run. */
    bool first_offer;
    double choosing_seconds; /* that choosing by time may take in all; 0: the device's own bound */
} device_request;

typedef struct device_facts {
    char name[128];    /* "Intel(R) Xeon(R) Processor", "NVIDIA H200" */
    char library[160]; /* "oneDNN 2.6.3 (AVX512_CORE)", "CUDA 13.0, cuDNN 9.19.0, cuBLASLt 13.0" */
    /* The implementation of convolutions where the library has only its reference here, many times
     * slower than others ("ref:any"); "": it has better ones. */
    char reference[64];
    char driver[32];     /* of the GPU: "580.159 (CUDA 13.0)"; "" where there is none */
    char uuid[48];       /* "GPU-8-4-4-4-12 hex digits", what NVML knows it by; "" on a CPU */
    char pci_bus_id[16]; /* "0000:3b:00.0"; "" on a CPU */
    int numa_node;       /* the GPU's; -1: unknown, or a CPU */
    bool host_addressable;
    int threads;       /* that side_by_side has; 0 where it is NULL */
    bool asynchronous; /* calls return before their work is done: times come from events */
    /* Elements: an update of fewer is not worth a call, it waits for its neighbours. 0: any is. */
    size_t least_update;
    bool updates_advance; /* an update may move the step's state on (update_arguments.advanced) */
} device_facts;

typedef struct device_interface {
    const char *name; /* "ref", "cpu", "cuda" */
    const ops *ops;
    const op *const *kinds; /* the ops of layers that it has, ended by NULL */

    /* OS index of the NUMA node that the GPU which open() would take is on, so that threads can be
     * bound before; no context is made. -1: unknown. NULL: the device is on no node of its own. */
    int (*numa_node)(const device_request *request);
    int (*open)(const device_request *request, device **out, ls_error *error);
    /* The facts of what open() would take, or why it would fail as far as that is seen without
     * starting anything on it: no context, no thread. */
    int (*describe)(const device_request *request, device_facts *out, ls_error *error);
    void (*close)(device *self);

    /* LS_BAD_LAUNCH, with what it has instead, for a precision that this device cannot compute
     * in. */
    int (*check_precision)(device *self, precision wanted, ls_error *error);

    /* Zero-filled (complete when it returns), aligned to 256 bytes, at least `bytes` long. `what`
     * is for the text where there is no room ("the activations"), which also says how much was
     * asked for and free. Never in the hot loop. */
    int (*allocate)(device *self, size_t bytes, const char *what, void **out, ls_error *error);
    void (*release)(device *self, void *memory);
    /* Bytes that allocate() could give now, and the device's all. NULL: no limit of its own. */
    int (*memory)(device *self, size_t *free_bytes, size_t *total_bytes, ls_error *error);
    /* The most bytes that allocate() had given at once so far. NULL: they are this process's. */
    int (*most_held)(device *self, size_t *bytes, ls_error *error);
    /* Host memory the device copies from and to quickly (pinned), zero-filled. */
    int (*host_allocate)(device *self, size_t bytes, void **out, ls_error *error);
    void (*host_release)(device *self, void *memory);

    int (*stream_create)(device *self, device_stream **out, ls_error *error); /* STREAM_NORMAL */
    /* NULL: streams have no urgency (device_stream_create). */
    int (*stream_create_urgent)(device *self, stream_urgency urgency, device_stream **out,
                                ls_error *error);
    void (*stream_destroy)(device *self, device_stream *stream);
    int (*stream_synchronize)(device *self, device_stream *stream, ls_error *error);

    int (*event_create)(device *self, device_event **out, ls_error *error);
    /* One that only orders streams: event_seconds is not asked of it. NULL: event_create serves
     * (device_order_create). */
    int (*order_create)(device *self, device_event **out, ls_error *error);
    void (*event_destroy)(device *self, device_event *event);
    int (*event_record)(device *self, device_event *event, device_stream *stream, ls_error *error);
    int (*event_query)(device *self, device_event *event, bool *done, ls_error *error);
    int (*event_synchronize)(device *self, device_event *event, ls_error *error);
    /* Both complete. */
    int (*event_seconds)(device *self, device_event *from, device_event *to, double *out,
                         ls_error *error);
    int (*stream_wait_event)(device *self, device_stream *stream, device_event *event,
                             ls_error *error);

    /* Graphs; all NULL where the device has none. Between begin and end, work put into `stream`
     * (and into streams that wait for its events) is recorded, not run; pointers and host values
     * are those of the recording. No synchronising call may stand between them. */
    int (*graph_begin)(device *self, device_stream *stream, ls_error *error);
    int (*graph_end)(device *self, device_stream *stream, device_graph **out, ls_error *error);
    int (*graph_launch)(device *self, device_graph *graph, device_stream *stream, ls_error *error);
    void (*graph_destroy)(device *self, device_graph *graph);

    /* Choices of algorithms that preparing plans has made so far, as text (caller frees), and the
     * other end: plans prepared from now on take these, and what is not among them is not timed, so
     * that ranks cannot differ: rank 0 imports its own. NULL: preparing chooses nothing. */
    int (*choices_export)(device *self, char **out, ls_error *error);
    int (*choices_import)(device *self, const char *text, ls_error *error);
    /* Plans that are prepared between these stand for others that will be: what takes time to
     * choose is chosen for all of them at once in settle, in a time that is bounded for the whole,
     * while they exist. The plans themselves take the first that runs. NULL where the two above
     * are. */
    void (*choices_collect)(device *self);
    int (*choices_settle)(device *self, ls_error *error);

    /* Calls run(context, worker) for worker 0 .. count-1 (at most facts.threads) at the same time,
     * each on a compute thread of its own, worker 0 on the caller's; returns when all have. Each
     * is alone: ops that it calls, and plans that it prepares, use one compute thread, however many
     * there are. A plan is run by one worker at a time. NULL: no op uses more than one. */
    void (*side_by_side)(device *self, int count, void (*run)(void *context, int worker),
                         void *context);

    /* Named ranges on the calling thread's timeline in a profiler (NVTX); nest. NULL: none. */
    void (*range_begin)(device *self, const char *name);
    void (*range_end)(device *self);

    /* Stream-ordered. */
    int (*copy)(device *self, device_stream *stream, void *to, const void *from, size_t bytes,
                copy_kind kind, ls_error *error);
    int (*fill_zero)(device *self, device_stream *stream, void *memory, size_t bytes,
                     ls_error *error);
    /* *word = value, in stream order; word: host_allocate()d. A watcher on the host reads how far
     * the stream has come, also inside a graph. */
    int (*write_word)(device *self, device_stream *stream, uint32_t *word, uint32_t value,
                      ls_error *error);
} device_interface;

/* Told of every named range, beside a profiler: of the thread that computes, whose ranges stand for
 * what it puts into its stream meanwhile, and of threads that help it. Ranges nest on a thread. */
typedef struct device_observer {
    void *context;
    void (*begin)(void *context, const char *name); /* name: valid while the observer is */
    void (*end)(void *context);
} device_observer;

/* Lines for the log of a run; what is said twice stands here once. */
enum { DEVICE_REMARKS = 16, DEVICE_REMARK_BYTES = 360 };
typedef struct device_remarks {
    int count, more; /* more: those that there was no room for */
    char lines[DEVICE_REMARKS][DEVICE_REMARK_BYTES];
} device_remarks;

/* remarks.c */
void device_remark(device_remarks *self, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

struct device {
    const device_interface *is;
    device_facts facts;
    /* What is computed by another way than meant, because a library refused: a reader should know.
     * And what was refused where that is ordinary: one of several candidates. */
    device_remarks fallbacks, refusals;
    const device_observer *observer; /* NULL: nobody watches; set while no range is open */
};

/* Opens by name. "auto": cuda where a GPU was granted (CUDA_VISIBLE_DEVICES, else Slurm's
 * SLURM_STEP_GPUS, names one) and works; cpu where none was granted; granted but unusable is
 * LS_BAD_LAUNCH, never a quiet cpu. */
int device_open(const char *name, const device_request *request, device **out, ls_error *error);
void device_close(device *self); /* NULL is fine */

/* device_interface.describe of the device that device_open would open, whose name goes to *chosen
 * ("" where there is none). */
int device_describe(const char *name, const device_request *request, const char **chosen,
                    device_facts *out, ls_error *error);

/* The variable of the environment that grants this process a GPU, its value to *value; NULL where
 * none is granted. */
const char *device_granted_gpu(const char **value);

/* device_interface.numa_node of the device that device_open would open; -1 where there is none, or
 * where opening it will fail (which says why). */
int device_numa_node(const char *name, const device_request *request);

/* side_by_side with one worker, on any device. */
static inline void device_alone(device *self, void (*run)(void *context, int worker),
                                void *context) {
    if (self->is->side_by_side)
        self->is->side_by_side(self, 1, run, context);
    else
        run(context, 0);
}

static inline int device_stream_create(device *self, stream_urgency urgency, device_stream **out,
                                       ls_error *error) {
    return self->is->stream_create_urgent
               ? self->is->stream_create_urgent(self, urgency, out, error)
               : self->is->stream_create(self, out, error);
}

static inline int device_order_create(device *self, device_event **out, ls_error *error) {
    return self->is->order_create ? self->is->order_create(self, out, error)
                                  : self->is->event_create(self, out, error);
}

/* A range of the calling thread: what the profiler (range_begin) and the observer see. */
static inline void device_range_begin(device *self, const char *name) {
    if (self->is->range_begin)
        self->is->range_begin(self, name);
    if (self->observer)
        self->observer->begin(self->observer->context, name);
}

static inline void device_range_end(device *self) {
    if (self->observer)
        self->observer->end(self->observer->context);
    if (self->is->range_end)
        self->is->range_end(self);
}

#endif
