/* The certificate of a run (report/run/certificate_file.h): what its steps were fed, and what the
 * parameters were every so many steps.
 *
 * Samples. The hash of a global batch is a sum of terms, one a sample; each rank adds those of its
 * own part, of the ids that its steps really used:
 *  - where batches come from host memory: the ids that lie in the loader's slot beside the images,
 *    which the loader gathered these by, when the step takes them;
 *  - where the images lie in the device's memory: the order in that memory, by which kernels
 *    gathered, copied back after the epoch's last step, from the place in it that each batch was
 *    given; the cursor, which the steps themselves move (ops.advance), must have come to its end.
 * Each rank also asks the sampler what it should have been, so a step that was fed anything else
 * ends the run; the ranks' parts are added up at the epoch's end. Not proven: that the images at an
 * index are that index's (the shards' checksums and the loader's tests stand for that), and that a
 * kernel read where it was told to (the op tests do).
 *
 * Parameters, and beside them their moving average and the model's buffers where there are any.
 * Between steps, in the stream's order, the store's fingerprint of each, whole on a rank that
 * updates them, or of the part that it holds, which are added up later; nothing is copied or waited
 * for before the epoch's end, when the ranks' hashes are compared: one that differs names the rank
 * and the first step where it did. (Not those of buffers: they are rank 0's, as PyTorch's
 * DistributedDataParallel has it.) */
#ifndef LOCKSTEP_TRAIN_CERTIFICATE_H
#define LOCKSTEP_TRAIN_CERTIFICATE_H

#include "base/share.h"
#include "checkpoint/record.h"
#include "comm/comm.h"
#include "input/feed.h"
#include "mode/store.h"
#include "report/run/certificate_file.h"

typedef struct certificate_settings {
    int rank, size;
    const int *copies; /* [size]: which copy of what is shared each rank has a part of; NULL: one */
    comm *control;
    device *device;
    device_stream *stream;
    const store *store;
    const feed *feed;   /* of training */
    bool logs;          /* false: only certify_parameters is used */
    int64_t every;      /* steps between hashes of parameters; 0: only epochs' ends have one */
    const char *folder; /* rank 0 writes there */
} certificate_settings;

typedef struct step_certificate {
    certificate_settings settings;
    int64_t batches, share; /* of an epoch; this rank's samples of it */
    /* Batches of the epoch that goes on whose samples were compared with the sampler's, and are
     * summed over the ranks on rank 0 (0 on the others): by an earlier attempt at the run. */
    int64_t settled;
    uint64_t *samples; /* [batches] this rank's part of each step's hash */
    int64_t *halves;   /* [2 * batches] of these, to be summed over the ranks */
    int64_t *order;    /* [share] of the device; NULL: not resident */
    share *places;     /* [batches] of the batches in it */
    store_kind kinds[1 + CERTIFIED_OTHERS]; /* [kind_count] of which there are prints */
    size_t kind_count;
    fingerprint *prints; /* [most_prints, kind_count] device memory */
    fingerprint *host_prints;
    certified_parameters *taken; /* [most_prints] in this epoch, by the steps of the run */
    size_t print_count, most_prints;
    uint64_t *hashes; /* [1 + most_prints * kind_count]: whether this rank updates, its hashes */
    uint64_t *all_hashes; /* [size] of these */
    certificate log;      /* rank 0's: of all epochs so far */
} step_certificate;

/* Memory for an epoch, and one fingerprint as a warm-up. Collective. */
int step_certificate_open(step_certificate *self, const certificate_settings *settings,
                          ls_error *error);
void step_certificate_close(step_certificate *self);

/* In the hot loop: batch `index` (0, 1, ...) as the feed gave it, before the step takes it; and
 * after that step, number `step` (1, 2, ...) of the run. No-ops where nothing is logged. */
void step_certificate_batch(step_certificate *self, int64_t index, const input_batch *batch);
int step_certificate_step(step_certificate *self, int64_t index, int64_t step, ls_error *error);
/* Steps that may follow one another from step `step` on before the hash of parameters between two.
 */
int64_t step_certificate_steps(const step_certificate *self, int64_t step);

/* After the epoch's last step, which was number `step` of the run; outside the training time.
 * LS_FAILED where a rank was fed other samples or has other parameters than it should. Collective.
 */
int step_certificate_epoch(step_certificate *self, int epoch, int64_t step, ls_error *error);

/* The end of the run: puts the file in place; `hash` is for the summary, "" where nothing is
 * logged or on other ranks than 0. */
int step_certificate_finish(step_certificate *self, char hash[17], ls_error *error);

/* What a run that goes on needs of it, between two steps, after `done` batches of `epoch` (0: it
 * has not begun): the log, and of the epoch that goes on what was fed and what was hashed. Rank 0
 * puts it into *out. Collective. */
int step_certificate_save(step_certificate *self, int epoch, int64_t done, record *out,
                          ls_error *error);
/* The other way, on all ranks, before the epoch's first step here. `where` opens errors. */
int step_certificate_restore(step_certificate *self, const char *where, const record *from,
                             int64_t done, ls_error *error);

/* The hash of the parameters as they are now. Collective. */
int step_certificate_parameters(step_certificate *self, uint64_t *hash, ls_error *error);

/* For certificate_state.c: what the epoch's first `count` batches were fed, over all ranks, after a
 * comparison with the sampler's; and the prints of the epoch so far, to host_prints and `taken`. */
int step_certificate_fed(step_certificate *self, int epoch, int64_t count, uint64_t *out,
                         ls_error *error);
int step_certificate_take(step_certificate *self, ls_error *error);
/* Of kinds[kind] each rank has the print of a part; they are added up as they are taken. */
bool step_certificate_is_shared(const step_certificate *self, size_t kind);

#endif
