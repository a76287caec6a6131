/* Who holds what. What training keeps between steps are flat logical arrays: parameters, gradients,
 * the optimizer's moments and the parameters' moving average [parameter_count], and buffers, what a
 * model keeps but does not train [buffer_count]. Of each a rank holds ranges, and memory is there
 * for these and nothing else:
 *
 *   single, ddp   all of everything (two ranks that share out the update: moments of their part)
 *   dp            all; moments and average on rank 0 alone
 *   zero1         parameters, gradients; moments and average of the ranges that this rank updates
 *   zero2         the same; gradients of these ranges too, buckets in memory of the mode's own
 *   fsdp          of each group of units a part of parameters and moments, and of gradients where
 *                 no update follows at once; what its hooks return lies in slots of its own
 *                 (mode/gathered.h, mode/scattered.h). Ranks of one node hold their parts of the
 *                 parameters in one memory, which all read
 *   gemini        as fsdp; of each kind some pieces lie in a file instead (mode/placement.h)
 *
 * A mode says in its setup what is held here (mode/store_memory.h). Everybody else asks by kind and
 * range of the logical array: writes, reads, clears, hashes and updates what is held. What outlives
 * a run (a checkpoint) is every kind that store_is_state: on each rank store_spans says which
 * elements, store_read and store_write move them; where several ranks hold an element, they hold
 * the same bits. */
#ifndef LOCKSTEP_MODE_STORE_H
#define LOCKSTEP_MODE_STORE_H

#include "device/ops.h"
#include "mode/offload_file.h"

enum { STORE_MAX_MOMENTS = UPDATE_MOST_MOMENTS };

typedef enum {
    STORE_PARAMETERS,
    STORE_GRADIENTS,
    STORE_BUFFERS,
    STORE_AVERAGE, /* of the parameters: --ema */
    STORE_MOMENTS, /* the first; the second is STORE_MOMENTS + 1 */
    STORE_KINDS = STORE_MOMENTS + STORE_MAX_MOMENTS
} store_kind;

/* What a rank's memory is for. */
typedef enum {
    MEMORY_PARAMETERS, /* and buffers */
    MEMORY_GRADIENTS,
    MEMORY_OPTIMIZER,   /* moments, and the parameters' average */
    MEMORY_PACKED,      /* copies of the parameters, as products want them */
    MEMORY_ACTIVATIONS, /* and their gradients, and the batch that the network reads */
    MEMORY_WORKSPACE,
    MEMORY_COMMUNICATION, /* of a mode's own; a comm's is not known */
    MEMORY_KINDS
} memory_kind;

const char *memory_kind_name(memory_kind use); /* "packed copies" */

typedef struct store store;

/* Elements [first, first + count) of a logical array. */
typedef struct store_span {
    size_t first, count;
} store_span;

/* What an update of `span` reads and writes. Element e lies at [e - origin] of each array; the
 * arrays are aligned as whole ones are. NULL: not held here, or (added, copied) none. Addresses,
 * and not kinds to ask for: an update is one call of the device over all of these at once, which
 * counts its ranges in them, and the pair has two that no kind stands for. Made for that call, of
 * this step; only the optimizer takes slices. */
typedef struct store_slice {
    store_span span;
    size_t origin;
    float *parameters, *gradients, *average, *moments[STORE_MAX_MOMENTS];
    /* mode/pair.h: the other rank's gradients, which the update adds to `gradients`, and its
     * parameters, which the update writes too. */
    const float *added;
    float *copied;
    progress_word begins; /* which its update writes (update_arguments) */
} store_slice;

/* "parameters", "buffers"; of a moment its optimizer's name for it ("exp_avg"). */
const char *store_name(const store *self, store_kind kind);
/* It outlives a step: all but gradients. */
bool store_is_state(store_kind kind);
/* Elements of the logical array, over all ranks; 0: this run keeps no such kind. */
size_t store_length(const store *self, store_kind kind);
/* The ranges of it that this rank holds, ascending; the store's memory. Returns how many. */
int store_spans(const store *self, store_kind kind, const store_span **out);
/* All of its elements are here. */
bool store_is_whole(const store *self, store_kind kind);
/* In a file: bytes that this rank keeps there, and what was moved. */
size_t store_file_bytes(const store *self);
offload_totals store_file_totals(const store *self);
/* Memory on this rank: of a kind, of all kinds and what a mode took for a use. */
size_t store_bytes(const store *self, store_kind kind);
size_t store_memory(const store *self, memory_kind use);

/* What is held of [first, first + count), from and to `host` [count], in which what is not held
 * is not looked at. Done when they return. Parameters that were written are followed by
 * mode_parameters_written. */
int store_write(store *self, device_stream *stream, store_kind kind, store_span span,
                const float *host, ls_error *error);
int store_read(const store *self, device_stream *stream, store_kind kind, store_span span,
               float *host, ls_error *error);
/* The same into `out` (device memory) [count], in stream order. */
int store_copy(const store *self, device_stream *stream, store_kind kind, store_span span,
               float *out, ls_error *error);
/* Zero, all that is held; in stream order. */
int store_clear(store *self, device_stream *stream, store_kind kind, ls_error *error);
/* What is held of `a` changes places with `b`, which is held there too. Done when it
 * returns. */
int store_swap(store *self, device_stream *stream, store_kind a, store_kind b, ls_error *error);
/* *out (device memory): of what is held here, each element by its place in the whole array, so that
 * prints of ranks which hold an element once add up to that of the whole; in stream order. */
int store_fingerprint(const store *self, device_stream *stream, store_kind kind, fingerprint *out,
                      ls_error *error);

/* Kinds, a bit each. */
typedef uint32_t store_kinds;
#define STORE_BIT(kind) ((store_kinds)1 << (kind))
/* All that an update may change. */
#define STORE_UPDATED (~(STORE_BIT(STORE_GRADIENTS) | STORE_BIT(STORE_BUFFERS)))

/* The ranges that this rank updates. */
int store_slice_count(const store *self);
store_span store_updated(const store *self, int index);
/* Such a range with its arrays, until it is returned; of kinds that lie in a file those that are
 * read or written, and nothing else of them: the others' addresses are NULL. The next range is read
 * ahead. */
int store_lend_update(store *self, int index, store_kinds reads, store_kinds writes,
                      store_slice *out, ls_error *error);
int store_return(store *self, store_kinds writes, const store_slice *slice, ls_error *error);
static inline bool store_updates(const store *self) {
    return store_slice_count(self) > 0;
}

#endif
