#include "train/saver.h"
#include "train/loss_watch.h"
#include "train/trainer.h"

#include "base/atomic_file.h"
#include "base/clock.h"
#include "checkpoint/part.h"
#include "launch/lifeline.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* Between two talks of the ranks; steps that take longer talk each time. */
static const double TALK_SECONDS = 0.1;
enum { MOST_STEPS_BETWEEN = 1000 };

/* ---- set-up */

int saver_check(trainer *self, ls_error *error) {
    const train_settings *s = self->settings;
    saver *saver = &self->saver;
    LS_TRY(checkpoint_schedule(&s->checkpoints, &saver->schedule, error));
    LS_TRY(checkpoint_time_limit(&s->checkpoints, &saver->limit_seconds, error));
    saver->on = s->checkpoints.every || strcmp(s->checkpoints.best, "none") != 0 ||
                (isfinite(saver->limit_seconds) && strcmp(s->checkpoints.limit, "auto") != 0);
    bool elsewhere = s->checkpoints.folder != NULL;
    int length =
        snprintf(saver->dir, sizeof saver->dir, "%s%s",
                 elsewhere ? s->checkpoints.folder : s->results, elsewhere ? "" : "/checkpoints");
    if (length < 0 || (size_t)length > sizeof saver->dir - 512)
        return ls_fail(error, LS_BAD_INPUT, "%.80s...: the path is longer than %zu bytes",
                       saver->dir, sizeof saver->dir - 512);
    if (saver->on && !trainer_ablates(self, "none"))
        return ls_fail(error, LS_BAD_INPUT,
                       "--checkpoint-every and --ablate: an ablated run is no training: give one");
    if (saver->on && s->profile > 0)
        return ls_fail(error, LS_BAD_INPUT,
                       "--checkpoint-every and --profile: a profiled run is not saved: give one");
    saver->saved_step = -1;
    return LS_OK;
}

/* One run has one id, in all its attempts. */
static int agree_on_id(trainer *self, ls_error *error) {
    saver *saver = &self->saver;
    unsigned char bytes[16] = {0};
    if (self->resumed.on)
        memcpy(saver->id, self->resumed.from.manifest.id, sizeof saver->id);
    else if (self->me->rank == 0 && getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes)
        return ls_fail_errno(error, LS_FAILED, "no random number for the run's id");
    for (size_t index = 0; index < sizeof bytes && !self->resumed.on; index++)
        snprintf(saver->id + 2 * index, 3, "%02x", bytes[index]);
    return comm_broadcast_bytes(self->control, saver->id, sizeof saver->id, 0, error);
}

/* Rank 0 makes the folder, and it alone removes what is in it. A run that goes on from an older
 * checkpoint of its own counts on from the newest: what it saves is newer than that. */
static int open_folder(trainer *self, ls_error *error) {
    saver *saver = &self->saver;
    int64_t last = 0;
    if (self->me->rank == 0) {
        LS_TRY(folder_create(saver->dir, error));
        if (self->settings->checkpoints.folder)
            LS_TRY(claim_take(saver->dir, &saver->claim, error));
        checkpoint_sweep(saver->dir);
        LS_TRY(checkpoint_last_serial(saver->dir, saver->id, &last, error));
    }
    LS_TRY(comm_broadcast_bytes(self->control, &last, sizeof last, 0, error));
    saver->serial = last > saver->serial ? last : saver->serial;
    return LS_OK;
}

/* What of a manifest is the same in every save. */
static int open_manifest(trainer *self, ls_error *error) {
    saver *saver = &self->saver;
    checkpoint_manifest *manifest = &saver->manifest;
    saver->reports = calloc((size_t)self->me->size, sizeof *saver->reports);
    manifest->parts = calloc((size_t)self->me->size, sizeof *manifest->parts);
    if (!saver->reports || !manifest->parts)
        return ls_fail(error, LS_FAILED, "out of memory");
    memcpy(manifest->id, saver->id, sizeof manifest->id);
    manifest->arrays = saver->arrays.list;
    manifest->array_count = saver->arrays.count;
    manifest->ranges = saver->arrays.ranges;
    manifest->range_count = saver->arrays.range_count;
    return saved_arrays_tensors(self, &saver->arrays, &manifest->tensors, &manifest->tensor_count,
                                error);
}

static size_t own_elements(const saver *self) {
    size_t sum = 0;
    for (int index = 0; index < self->arrays.own_count; index++)
        sum += (size_t)self->arrays.own[index].count;
    return sum;
}

int saver_open(trainer *self, ls_error *error) {
    saver *saver = &self->saver;
    if (!saver->on)
        return LS_OK;
    LS_TRY(agree_on_id(self, error));
    LS_TRY(open_folder(self, error));
    LS_TRY(saved_arrays_open(self, &saver->arrays, error));
    LS_TRY(open_manifest(self, error));
    LS_TRY(state_copy_open(self, own_elements(saver), &saver->copy, error));
    saver->begun_seconds = saver->talked_seconds = clock_seconds();
    saver->until_talk = 1;
    lifeline_ask_first();
    return background_open("checkpoint writer", self->engine.binding.processing_units,
                           self->engine.binding.threads, &saver->writer, error);
}

void saver_close(saver *self) {
    background_close(self->writer);
    saved_arrays_close(&self->arrays);
    state_copy_close(&self->copy);
    free(self->reports);
    free(self->manifest.parts);
    free(self->manifest.tensors);
    record_free(&self->manifest.state);
    record_free(&self->trained);
    claim_release(self->claim);
    *self = (saver){0};
}

/* ---- the writer's tasks */

static int write_part(void *context, ls_error *error) {
    trainer *self = context;
    saver *saver = &self->saver;
    LS_TRY(state_copy_wait(&saver->copy, error));
    LS_TRY(checkpoint_begin(saver->temporary, error));
    return checkpoint_part_write(saver->temporary, self->me->rank, saver->id, saver->arrays.list,
                                 saver->arrays.own, saver->arrays.own_count, saver->copy.host,
                                 &saver->report.part, error);
}

static int publish(void *context, ls_error *error) {
    trainer *self = context;
    saver *saver = &self->saver;
    LS_TRY(claim_check(saver->claim, error));
    LS_TRY(checkpoint_manifest_write(&saver->manifest, saver->temporary, error));
    LS_TRY(
        checkpoint_publish(saver->dir, saver->temporary, saver->manifest.step, saver->name, error));
    LS_TRY(checkpoint_point(saver->dir, CHECKPOINT_LAST, saver->name, error));
    if (saver->best)
        LS_TRY(checkpoint_point(saver->dir, CHECKPOINT_BEST, saver->name, error));
    saver->placed_seconds = clock_seconds();
    /* The checkpoint is in place, whatever becomes of the older ones. */
    saver->unpruned = (ls_error){0};
    checkpoint_prune(saver->dir, saver->id, (int)self->settings->checkpoints.keep,
                     &saver->unpruned);
    return LS_OK;
}

/* ---- a save */

/* `ready`: the state beside the arrays, which is taken over; NULL: as it is now. */
static int begin(trainer *self, int epoch, int64_t done, bool best, record *ready,
                 ls_error *error) {
    saver *saver = &self->saver;
    checkpoint_manifest *manifest = &saver->manifest;
    /* Never saved as good. Its step would wait for the others all the same. */
    LS_TRY(loss_watch_check(self, error));
    double began = clock_seconds();
    saver->serial++;
    saver->best = best;
    saver->saved_step = self->steps;
    LS_TRY(checkpoint_temporary(saver->temporary, sizeof saver->temporary, saver->dir, saver->id,
                                saver->serial, self->steps, error));
    record_free(&manifest->state);
    if (ready) {
        manifest->state = *ready;
        *ready = (record){0};
    } else
        LS_TRY(trainer_capture(self, epoch, done, &manifest->state, error));
    LS_TRY(state_copy_begin(self, &saver->arrays, &saver->copy, error));
    manifest->serial = saver->serial;
    manifest->step = self->steps;
    manifest->epoch = epoch;
    manifest->position = done * self->global_batch;
    if (done == self->input.train.batches)
        manifest->position = self->input.train.data->facts.samples;
    manifest->test_accuracy = epoch > 1 ? self->totals.final_test_accuracy : NAN;
    manifest->test_loss = epoch > 1 ? self->totals.final_test_loss : NAN;
    saver->report = (part_report){0};
    if (saver->arrays.own_count > 0)
        background_start(saver->writer, write_part, self);
    saver->phase = SAVER_WRITING;
    saver->begun_seconds = clock_seconds();
    saver->blocked_seconds += saver->begun_seconds - began;
    saver->until_talk = 1;
    return LS_OK;
}

/* Of a save that came to nothing. The run goes on, and so does the checkpoint before. */
static int give_up(trainer *self, const char *text, ls_error *error) {
    saver *saver = &self->saver;
    saver->phase = SAVER_IDLE;
    saver->failed = true;
    saver->saved_step = -1;
    if (self->me->rank != 0)
        return LS_OK;
    checkpoint_remove(saver->dir, strrchr(saver->temporary, '/') + 1);
    return run_note(self->run, error,
                    "warning  the checkpoint of step %" PRId64 " was not saved: %s (the one before "
                    "it stays)",
                    saver->manifest.step, text);
}

static void list_parts(trainer *self) {
    saver *saver = &self->saver;
    checkpoint_manifest *manifest = &saver->manifest;
    int first = 0;
    manifest->part_count = 0;
    for (int rank = 0; rank < self->me->size; rank++) {
        if (saver->arrays.range_counts[rank] == 0)
            continue;
        checkpoint_part *part = &manifest->parts[manifest->part_count++];
        *part = saver->reports[rank].part;
        part->first_range = first;
        first += part->range_count;
    }
}

/* All ranks' writers are done. */
static int end_writing(trainer *self, ls_error *error) {
    saver *saver = &self->saver;
    ls_error failure = {0};
    saver->report.status = background_take(saver->writer, &failure);
    snprintf(saver->report.text, sizeof saver->report.text, "%s", failure.text);
    LS_TRY(comm_allgather_bytes(self->control, &saver->report, saver->reports, sizeof saver->report,
                                error));
    for (int rank = 0; rank < self->me->size; rank++)
        if (saver->reports[rank].status != LS_OK)
            return give_up(self, saver->reports[rank].text, error);
    saver->phase = SAVER_PUBLISHING;
    saver->until_talk = 1;
    if (self->me->rank != 0)
        return LS_OK;
    list_parts(self);
    background_start(saver->writer, publish, self);
    return LS_OK;
}

/* Rank 0's writer is done. */
static int end_publishing(trainer *self, ls_error *error) {
    saver *saver = &self->saver;
    ls_error failure = {0};
    int64_t status = background_take(saver->writer, &failure);
    LS_TRY(comm_broadcast_bytes(self->control, &status, sizeof status, 0, error));
    if (status != LS_OK)
        return give_up(self, failure.text, error);
    saver->phase = SAVER_IDLE;
    saver->failed = false;
    saver->saved++;
    saver->placed_step = saver->manifest.step;
    ledger_saved(self);
    if (saver->unpruned.text[0])
        LS_TRY(run_note(self->run, error, "warning  older checkpoints were not removed: %s",
                        saver->unpruned.text));
    LS_TRY(uploader_offer(self, saver->dir, saver->name, saver->best, error));
    if (self->me->rank == 0)
        saver->write_seconds += saver->placed_seconds - saver->begun_seconds;
    for (int part = 0; part < saver->manifest.part_count; part++)
        saver->bytes += saver->manifest.parts[part].bytes;
    return LS_OK;
}

/* ---- what the ranks agree on */

enum { TALK_SIGNAL, TALK_DUE, TALK_UNFINISHED, TALK_EVERY, TALK_LOST, TALKS };

static int64_t steps_to_next_talk(const saver *self, double now) {
    double each = (now - self->talked_seconds) / fmax((double)self->since_talk, 1);
    if (self->phase != SAVER_IDLE && each > 0)
        each *= 2; /* what is under way should be heard of soon */
    return (int64_t)fmin(fmax(TALK_SECONDS / fmax(each, 1e-9), 1), MOST_STEPS_BETWEEN);
}

/* Time for a save, and for an evaluation that may come first, twice over. */
static bool is_late(const trainer *self) {
    const saver *saver = &self->saver;
    double save = saver->saved > 0 ? saver->write_seconds / (double)saver->saved : 5;
    double margin = 2 * (save + self->totals.evaluation_seconds / fmax(self->evaluations, 1)) + 5;
    margin = fmin(margin, saver->limit_seconds / 4);
    return clock_since_process_start_seconds() > saver->limit_seconds - margin;
}

static int talk(trainer *self, bool *due, ls_error *error) {
    saver *saver = &self->saver;
    double now = clock_seconds();
    bool leads = self->me->rank == 0, idle = saver->phase == SAVER_IDLE;
    bool timed = saver->schedule.seconds > 0 && idle &&
                 now - saver->begun_seconds >= saver->schedule.seconds;
    int64_t said[TALKS] = {
        [TALK_SIGNAL] = leads && is_late(self) ? SAVER_TIME_LIMIT : lifeline_asked(),
        [TALK_DUE] = leads && timed,
        [TALK_UNFINISHED] = background_busy(saver->writer) && !background_done(saver->writer),
        [TALK_EVERY] = leads ? steps_to_next_talk(saver, now) : 0};
    if (!self->engine.device->facts.asynchronous) { /* which would be waited for */
        loss_totals totals;
        LS_TRY(trainer_read_totals(self, &totals, error));
        said[TALK_LOST] = loss_watch_word(self, &totals);
    }
    LS_TRY(comm_allreduce_int64(self->control, said, TALKS, REDUCTION_MAX, error));
    LS_TRY(loss_watch_judge(self, said[TALK_LOST], error));
    saver->until_talk = said[TALK_EVERY];
    saver->since_talk = 0;
    saver->talked_seconds = now;
    if (saver->ending == 0)
        saver->ending = (int)said[TALK_SIGNAL];
    *due = said[TALK_DUE] != 0;
    if (idle || said[TALK_UNFINISHED])
        return LS_OK;
    return saver->phase == SAVER_WRITING ? end_writing(self, error) : end_publishing(self, error);
}

/* What is under way is on the disk then, or was given up. */
static int wait_for_save(trainer *self, ls_error *error) {
    bool due;
    double began = clock_seconds();
    while (self->saver.phase != SAVER_IDLE) {
        background_wait(self->saver.writer);
        LS_TRY(talk(self, &due, error));
    }
    self->saver.blocked_seconds += clock_seconds() - began;
    return LS_OK;
}

static int save_and_wait(trainer *self, int epoch, int64_t done, bool best, ls_error *error) {
    LS_TRY(wait_for_save(self, error));
    if (self->saver.saved_step != self->steps || best)
        LS_TRY(begin(self, epoch, done, best, NULL, error));
    return wait_for_save(self, error);
}

/* What this attempt trained is what it saved: who goes on counts from there, and so does the
 * ledger. Where nothing was saved, the clock stands as it is. */
static void stop_clock(trainer *self) {
    if (self->saver.failed)
        return;
    self->at.seconds = self->saver.epoch_seconds;
    self->at.started = 0;
}

/* A run that was told to end: its state is saved, or it says why not. */
static int end_run(trainer *self, int epoch, int64_t done, bool best, bool *stop, ls_error *error) {
    LS_TRY(save_and_wait(self, epoch, done, best, error));
    stop_clock(self);
    *stop = true;
    return LS_OK;
}

static int save_unless_busy(trainer *self, int epoch, int64_t done, ls_error *error) {
    if (self->saver.phase == SAVER_IDLE)
        return begin(self, epoch, done, false, NULL, error);
    if (self->me->rank != 0)
        return LS_OK;
    return run_note(self->run, error,
                    "checkpoint of step %" PRId64 " left out: that of step %" PRId64
                    " is still being written",
                    self->steps, self->saver.manifest.step);
}

int saver_after_step(trainer *self, int epoch, int64_t done, int64_t steps, bool *stop,
                     ls_error *error) {
    saver *saver = &self->saver;
    bool timed = false;
    *stop = false;
    if (!saver->on)
        return LS_OK;
    int64_t every = saver->schedule.steps;
    bool due = every > 0 && self->steps / every != (self->steps - steps) / every;
    saver->until_talk -= steps;
    saver->since_talk += steps;
    if (saver->until_talk <= 0)
        LS_TRY(talk(self, &timed, error));
    saver->due |= due || timed;
    if (done == self->input.train.batches)
        return LS_OK; /* the epoch's end comes next, and is saved with its evaluation */
    if (saver->ending)
        return end_run(self, epoch, done, false, stop, error);
    if (!saver->due)
        return LS_OK;
    saver->due = false;
    return save_unless_busy(self, epoch, done, error);
}

int saver_before_evaluation(trainer *self, int epoch, ls_error *error) {
    record_free(&self->saver.trained);
    return self->saver.on && trainer_validates(self, epoch)
               ? trainer_capture(self, epoch, self->input.train.batches, &self->saver.trained,
                                 error)
               : LS_OK;
}

int saver_in_evaluation(trainer *self, bool *stop, ls_error *error) {
    bool timed = false;
    if (!self->saver.on)
        return LS_OK;
    self->saver.since_talk++;
    if (--self->saver.until_talk > 0)
        return LS_OK;
    LS_TRY(talk(self, &timed, error));
    self->saver.due |= timed;
    *stop = self->saver.ending != 0;
    return LS_OK;
}

int saver_stop_evaluation(trainer *self, int epoch, ls_error *error) {
    LS_TRY(wait_for_save(self, error));
    LS_TRY(begin(self, epoch, self->input.train.batches, false, &self->saver.trained, error));
    LS_TRY(wait_for_save(self, error));
    stop_clock(self);
    return LS_OK;
}

int saver_after_epoch(trainer *self, int epoch, bool is_best, bool *stop, ls_error *error) {
    saver *saver = &self->saver;
    bool timed = false, last = epoch == self->settings->epochs;
    *stop = false;
    if (!saver->on)
        return LS_OK;
    LS_TRY(talk(self, &timed, error));
    bool due = saver->due || timed || saver->schedule.epochs;
    saver->due = false;
    if (saver->ending && !last)
        return end_run(self, epoch + 1, 0, is_best, stop, error);
    if (last || is_best)
        return save_and_wait(self, epoch + 1, 0, is_best, error);
    return due ? save_unless_busy(self, epoch + 1, 0, error) : LS_OK;
}
