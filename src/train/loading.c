#include "train/loading.h"
#include "train/trainer.h"

#include <math.h>

static bool decodes(const trainer *self) {
    return self->input.train.data->is->slow;
}

/* The largest number of any rank: those of `dp` but rank 0 have no loader. */
static int most_threads(trainer *self, int64_t threads, int *out, ls_error *error) {
    LS_TRY(comm_allreduce_int64(self->control, &threads, 1, REDUCTION_MAX, error));
    *out = (int)threads;
    return LS_OK;
}

int trainer_tell_loader(trainer *self, ls_error *error) {
    int threads;
    loader_work work = {0};
    if (!decodes(self) || self->settings->input.loader_threads > 0 || trainer_ablates(self, "data"))
        return LS_OK;
    if (self->input.train.loader)
        work = loader_worked(self->input.train.loader);
    int64_t searches = work.searches;
    LS_TRY(most_threads(self, work.threads, &threads, error));
    LS_TRY(comm_allreduce_int64(self->control, &searches, 1, REDUCTION_MAX, error));
    if (threads == self->told.loader_threads)
        return LS_OK;
    self->told.loader_threads = threads;
    return run_note(self->run, error, "--loader-threads auto: %d thread%s a rank%s", threads,
                    threads == 1 ? "" : "s", searches ? ", and the search goes on" : "");
}

int trainer_note_loader(trainer *self, ls_error *error) {
    const feed *train = &self->input.train;
    loader_work work = {0};
    double trained = self->clocks.trained;
    if (train->loader)
        work = loader_worked(train->loader);
    bool known = decodes(self) && work.busy_seconds > 0;
    double sums[] = {known ? (double)work.fetched * work.threads / work.busy_seconds : 0,
                     trained > 0 ? work.waited_seconds / trained : 0, train->loader ? 1 : 0};
    LS_TRY(
        most_threads(self, decodes(self) ? work.threads : 0, &self->totals.loader_threads, error));
    LS_TRY(comm_allreduce_double(self->control, sums, 3, REDUCTION_SUM, error));
    self->totals.loader_images_per_second = sums[0];
    self->totals.loader_wait_share = sums[2] > 0 ? sums[1] / sums[2] : NAN;
    return LS_OK;
}
