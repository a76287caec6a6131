/* The loader: reads ahead on threads of its own. It walks the sampler's order in global batches,
 * takes this rank's share of each (share_of), and fetches samples and labels into a ring of slots
 * of host memory, so that a batch is ready when a step asks for it. Several threads share a batch
 * sample by sample; batches come out in order, whoever fetched them. The short last batch of an
 * epoch is delivered, not padded and not dropped; a rank may get 0 samples of it. How many threads
 * fetch may be searched while batches are taken (thread_search.h). */
#ifndef LOCKSTEP_INPUT_LOADER_H
#define LOCKSTEP_INPUT_LOADER_H

#include "device/device.h"
#include "input/samples.h"

typedef struct loader loader;

typedef struct loader_settings {
    int64_t global_batch;
    int rank, size; /* whose share; (0, 1) takes the whole batch (mode dp's rank 0) */
    uint64_t seed;
    bool shuffled; /* training; not evaluation */
    int slots;     /* batches read ahead; at least 2 */
    int threads;   /* that fetch; 0 is 1 */
    /* Over 0: `threads` is a first estimate, and the number is searched, up to this one. */
    int most_threads;
    /* OS indices of the processing units that the threads may run on (a rank's own, so that it
     * need not share the compute thread's); count 0: where its creator may. Borrowed until
     * loader_create returns. */
    const int *processing_units;
    int processing_unit_count;
    bool partners; /* fetch what samples at the borders are mixed with, too (device/mixing.h) */
} loader_settings;

typedef struct loader_batch {
    const uint8_t *samples; /* [count, facts.bytes], host memory of the device's host_allocate */
    const int32_t *labels;  /* [count] */
    const int64_t *indices; /* [count] sample ids */
    int count;              /* this rank's; may be 0 */
    /* With `partners`, of LOADER_PARTNERS samples behind these: the first one's partner and the
     * last one's, where they are in other ranks' shares; else that place holds whatever. */
} loader_batch;

enum { LOADER_PARTNERS = 2 };

/* The samples must be loaded and outlive the loader. The device owns the slots. */
int loader_create(const samples *data, device *device, const loader_settings *settings,
                  loader **out, ls_error *error);

/* Batches of an epoch: ceil(samples / global_batch). */
int64_t loader_batches(const loader *self);

/* Starts an epoch (1, 2, ...) at its batch `first` (0: from its start): the threads begin to read
 * ahead at once. What they fetch of an epoch that is given up is waited for. */
int loader_start_epoch(loader *self, int epoch, int64_t first, ls_error *error);

/* The next batch of the epoch; blocks until it is ready. The previous batch's memory is given
 * back to the ring by this call: copy it to the device before. A failure of the thread (a bad
 * block, say) comes out here. */
int loader_next(loader *self, loader_batch *out, ls_error *error);

/* What its threads did so far: samples, and the seconds that each was busy with them, summed. */
typedef struct loader_work {
    int threads; /* that fetch now */
    int64_t fetched;
    double busy_seconds;
    double waited_seconds; /* in loader_next, for a batch that was not there */
    bool searches;         /* for a better number still */
} loader_work;
loader_work loader_worked(loader *self);

/* Stops the threads, in any state. NULL is fine. */
void loader_close(loader *self);

#endif
