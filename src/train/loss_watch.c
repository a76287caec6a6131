#include "train/loss_watch.h"
#include "train/trainer.h"

#include <inttypes.h>

/* Of this rank's lanes (one where the run is not strict), their loss in the tree of their
 * gradients. */
static void add_lanes(loss_totals *lanes, int count, loss_totals *out) {
    for (int step = 1; step < count; step *= 2)
        for (int lane = 0; lane + step < count; lane += 2 * step) {
            lanes[lane].loss_sum += lanes[lane + step].loss_sum;
            lanes[lane].correct += lanes[lane + step].correct;
            lanes[lane].samples += lanes[lane + step].samples;
            lanes[lane].among_five += lanes[lane + step].among_five;
            if (lanes[lane].lost_step == 0 ||
                (lanes[lane + step].lost_step > 0 &&
                 lanes[lane + step].lost_step < lanes[lane].lost_step))
                lanes[lane].lost_step = lanes[lane + step].lost_step;
        }
    *out = lanes[0];
}

int trainer_read_totals(trainer *self, loss_totals *out, ls_error *error) {
    device *device = self->engine.device;
    int count = self->learner.mode->lane_count;
    loss_totals lanes[count];
    LS_TRY(device->is->copy(device, self->engine.stream, lanes, self->learner.mode->totals,
                            (size_t)count * sizeof *lanes, COPY_DEVICE_TO_HOST, error));
    LS_TRY(device->is->stream_synchronize(device, self->engine.stream, error));
    add_lanes(lanes, count, out);
    return LS_OK;
}

int64_t loss_watch_word(const trainer *self, const loss_totals *totals) {
    if (totals->lost_step == 0 || trainer_ablates(self, "comm"))
        return 0;
    return INT64_MAX - (totals->lost_step * self->me->size + self->me->rank);
}

int loss_watch_judge(trainer *self, int64_t word, ls_error *error) {
    if (word == 0)
        return LS_OK;
    int64_t first = INT64_MAX - word, size = self->me->size;
    if (first % size != self->me->rank)
        return self->control->is->barrier(self->control, error); /* which that rank never enters */
    return ls_fail(
        error, LS_FAILED,
        "the loss of training is not a finite number at step %" PRId64
        "%s (--learning-rate %g is too high? Else a fault of this rank's memory or device)",
        first / size, size > 1 ? ", here first" : "", self->settings->optimizer.learning_rate);
}

int loss_watch_check(trainer *self, ls_error *error) {
    loss_totals totals;
    LS_TRY(trainer_read_totals(self, &totals, error));
    int64_t word = loss_watch_word(self, &totals);
    LS_TRY(comm_allreduce_int64(self->control, &word, 1, REDUCTION_MAX, error));
    return loss_watch_judge(self, word, error);
}
