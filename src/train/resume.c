#include "train/resume.h"
#include "train/trainer.h"

#include "data/format.h"
#include "report/facts/attempt_columns.h"
#include "report/facts/epoch_columns.h"
#include "report/facts/files.h"
#include "report/run/run.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* ---- what there is: rank 0 */

typedef struct candidates {
    checkpoint_entry *list;
    int count, next;
    char named[4096]; /* by the user; "": auto */
    char id[33];      /* auto: of the run that `last` is of */
} candidates;

/* The run whose checkpoint `last` names: another's may lie beside it. */
static int find_run(const trainer *self, candidates *out, ls_error *error) {
    char last[CHECKPOINT_FOLDER_BYTES];
    LS_TRY(checkpoint_list(self->saver.dir, &out->list, &out->count, error));
    ls_error ignored = {0}; /* a `last` that is damaged is not needed */
    if (checkpoint_pointed(self->saver.dir, CHECKPOINT_LAST, last, &ignored) != LS_OK)
        last[0] = '\0';
    for (int index = out->count - 1; index >= 0; index--) {
        const checkpoint_entry *entry = &out->list[index];
        bool newest = index == 0 && !out->id[0];
        if (entry->readable && (newest || strcmp(entry->name, last) == 0))
            memcpy(out->id, entry->id, sizeof out->id);
    }
    return LS_OK;
}

static int look(const trainer *self, candidates *out, ls_error *error) {
    const char *resume = self->settings->checkpoints.resume;
    if (strcmp(resume, "none") == 0)
        return LS_OK;
    if (strncmp(resume, "s3://", 5) == 0)
        return trainer_fetch_checkpoint(self, out->named, sizeof out->named, error);
    if (strcmp(resume, "auto") != 0)
        return checkpoint_resolve(resume, out->named, sizeof out->named, error);
    return find_run(self, out, error);
}

static void note_damage(trainer *self, const char *name, const char *text) {
    text_add(&self->resumed.notes, "warning  checkpoint %s is passed over: %s\n", name, text);
}

/* The next one that may be whole, or "". */
static int take_next(trainer *self, candidates *from, char path[4096], ls_error *error) {
    path[0] = '\0';
    if (from->named[0]) {
        snprintf(path, 4096, "%s", from->next++ == 0 ? from->named : "");
        return LS_OK;
    }
    while (from->next < from->count) {
        const checkpoint_entry *entry = &from->list[from->next++];
        if (entry->readable && strcmp(entry->id, from->id) == 0)
            return path_join(path, 4096, self->saver.dir, entry->name, error);
    }
    return LS_OK;
}

/* ---- is it whole: all ranks */

static int open_and_verify(trainer *self, const char *path, ls_error *error) {
    checkpoint *from = &self->resumed.from;
    LS_TRY(checkpoint_open(from, path, error));
    int status = checkpoint_verify(from, self->me->rank, self->me->size, error);
    if (status != LS_OK)
        checkpoint_close(from);
    return status;
}

/* *good on all ranks, or on none; rank 0 has the text of the lowest that failed. */
static int try_one(trainer *self, const char *path, bool *good, ls_error *failure,
                   ls_error *error) {
    ls_error *all = calloc((size_t)self->me->size, sizeof *all);
    if (!all)
        return ls_fail(error, LS_FAILED, "out of memory");
    *failure = (ls_error){0};
    *good = open_and_verify(self, path, failure) == LS_OK;
    int status = comm_allgather_bytes(self->control, failure, all, sizeof *all, error);
    for (int rank = self->me->size - 1; status == LS_OK && rank >= 0; rank--)
        if (all[rank].code != LS_OK) {
            *failure = all[rank];
            *good = false;
        }
    if (*good)
        checkpoint_trust(&self->resumed.from);
    else
        checkpoint_close(&self->resumed.from);
    free(all);
    return status;
}

/* One after the other, until one is whole; `path` is the same on all ranks. */
static int try_all(trainer *self, candidates *from, bool *found, ls_error *error) {
    char path[4096];
    ls_error failure;
    *found = false;
    for (;;) {
        if (self->me->rank == 0)
            LS_TRY(take_next(self, from, path, error));
        LS_TRY(comm_broadcast_bytes(self->control, path, sizeof path, 0, error));
        if (!path[0])
            return LS_OK;
        LS_TRY(try_one(self, path, found, &failure, error));
        if (*found)
            return LS_OK;
        if (strcmp(self->settings->checkpoints.resume, "auto") != 0)
            return ls_fail(error, LS_BAD_INPUT, "--resume: %s", failure.text);
        note_damage(self, path, failure.text);
    }
}

/* ---- what it says */

static int read_epochs(resumed *self, ls_error *error) {
    const record *state = &self->from.manifest.state;
    const char *text;
    LS_TRY(record_get_text(state, self->where, "epochs_csv", &text, error));
    LS_TRY(
        epoch_read_rows(self->where, text, strlen(text), &self->epochs, &self->epoch_count, error));
    if (self->epoch_count + 1 != self->from.manifest.epoch)
        return ls_fail(error, LS_BAD_INPUT, "%s: epochs_csv: expected %" PRId64 " epochs, found %d",
                       self->where, self->from.manifest.epoch - 1, self->epoch_count);
    LS_TRY(
        record_get_integer(state, self->where, "attempt", 1, INT64_MAX - 1, &self->attempt, error));
    self->attempt++;
    return LS_OK;
}

/* Of ranks.csv: one for each rank of this run in each epoch, or there is none. */
static int count_rows(trainer *self, int64_t ranks, ls_error *error) {
    resumed *resumed = &self->resumed;
    const char *rows;
    int64_t count = 0;
    LS_TRY(
        record_get_text(&resumed->from.manifest.state, resumed->where, "ranks_csv", &rows, error));
    for (; *rows; rows++)
        count += *rows == '\n';
    resumed->other_ranks = ranks != self->me->size || count != ranks * resumed->epoch_count;
    resumed->other_ranks = resumed->other_ranks && resumed->epoch_count > 0;
    return LS_OK;
}

static int take(trainer *self, ls_error *error) {
    resumed *resumed = &self->resumed;
    const checkpoint_manifest *manifest = &resumed->from.manifest;
    int64_t ranks;
    resumed->on = true;
    snprintf(resumed->where, sizeof resumed->where, "%s/" CHECKPOINT_MANIFEST,
             resumed->from.folder);
    LS_TRY(read_epochs(resumed, error));
    LS_TRY(trainer_compare_saved(self, error));
    LS_TRY(
        record_get_integer(&manifest->state, resumed->where, "ranks", 1, INT32_MAX, &ranks, error));
    LS_TRY(count_rows(self, ranks, error));
    self->saver.serial = manifest->serial;
    resumed->over = manifest->epoch > self->settings->epochs;
    text_add(&resumed->notes,
             "resumed  from %s: step %" PRId64 ", epoch %" PRId64 " after %" PRId64
             " images; attempt %" PRId64 ", on %d rank%s (saved on %" PRId64 ")\n",
             resumed->from.folder, manifest->step, manifest->epoch, manifest->position,
             resumed->attempt, self->me->size, self->me->size == 1 ? "" : "s", ranks);
    return LS_OK;
}

/* There is no checkpoint, and earlier attempts at the run that did not finish say that they had
 * some: a file system that is not mounted, a folder that was moved, another --checkpoint-dir. */
static int check_gone(const trainer *self, ls_error *error) {
    const char *results = self->settings->results;
    char path[4096];
    attempt_record *rows;
    int count;
    int64_t had = 0;
    ls_error ignored = {0};
    if (run_is_finished(results) ||
        path_join(path, sizeof path, results, ATTEMPTS_FILE, &ignored) != LS_OK ||
        attempts_read(path, &rows, &count, &ignored) != LS_OK)
        return LS_OK;
    for (int index = 0; index < count; index++) {
        had = rows[index].first_step > 0 ? rows[index].first_step : had;
        had = rows[index].saved_step > 0 ? rows[index].saved_step : had;
    }
    free(rows);
    if (had == 0)
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--resume auto: %s: expected the checkpoints of an earlier attempt at this run, "
                   "the last of them of step %" PRId64 " (%s), found none (--resume none begins "
                   "anew)",
                   self->saver.dir, had, path);
}

/* Folders that are no checkpoints are named; none at all that is whole is no reason to begin anew
 * in silence. */
static int check_none(trainer *self, const candidates *from, ls_error *error) {
    if (from->named[0] || self->me->rank != 0)
        return LS_OK;
    if (from->count == 0)
        return strcmp(self->settings->checkpoints.resume, "auto") == 0 ? check_gone(self, error)
                                                                       : LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--resume auto: none of the %d checkpoints in %s is whole: %s (--resume none "
                   "begins anew)",
                   from->count, self->saver.dir,
                   from->list[0].text[0] ? from->list[0].text : self->resumed.notes.bytes);
}

int trainer_find_checkpoint(trainer *self, ls_error *error) {
    candidates from = {0};
    bool found = false;
    self->resumed.attempt = 1;
    self->resumed.from = (checkpoint){0};
    int status = self->me->rank == 0 ? look(self, &from, error) : LS_OK;
    for (int index = 0; status == LS_OK && index < from.count; index++)
        if (!from.list[index].readable)
            note_damage(self, from.list[index].name, from.list[index].text);
    if (status == LS_OK)
        status = try_all(self, &from, &found, error);
    if (status == LS_OK && !found)
        status = check_none(self, &from, error);
    free(from.list);
    LS_TRY(status);
    return found ? take(self, error) : LS_OK;
}

void resumed_close(resumed *self) {
    checkpoint_close(&self->from);
    free(self->epochs);
    free(self->totals);
    text_free(&self->notes);
    *self = (resumed){0};
}
