/* In what a run may be another than the one whose checkpoint it goes on from. */
#include "train/batch_choice.h"
#include "train/resume.h"
#include "train/trainer.h"

#include "launch/versions.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

/* Options that change where and how a run computes, what it says of itself or how long it goes on,
 * and not what it computes but for the order of sums. All others, those to come too, must be what
 * they were. The data set and the global batch are compared by what they are. */
static const char *const may_differ[] = {"data",
                                         "data-place",
                                         "mode",
                                         "batch-per-rank",
                                         "global-batch",
                                         "bucket-mb",
                                         "factor-comm",
                                         "comm",
                                         "epochs",
                                         "oversubscribe",
                                         "share-gpu",
                                         "comm-timeout",
                                         "no-graph",
                                         "graph-steps",
                                         "results",
                                         "verbose",
                                         "tensorboard",
                                         "keep",
                                         "best",
                                         "resume",
                                         "allow",
                                         "checkpoint-every",
                                         "checkpoint-dir",
                                         "time-limit",
                                         "upload",
                                         "upload-all",
                                         "validate-every",
                                         "recompute",
                                         "prefetch",
                                         "shard-within",
                                         "reshard-after-forward",
                                         "device-memory",
                                         "strict-cost"};

static bool is_free(const char *name, size_t length) {
    for (size_t index = 0; index < sizeof may_differ / sizeof may_differ[0]; index++)
        if (strlen(may_differ[index]) == length && strncmp(may_differ[index], name, length) == 0)
            return true;
    return false;
}

/* "a,b" names it. */
static bool is_allowed(const trainer *self, const char *name, size_t length) {
    for (const char *at = self->settings->checkpoints.allow; at && *at;) {
        size_t found = strcspn(at, ",");
        if (found == length && strncmp(at, name, length) == 0)
            return true;
        at += found + (at[found] == ',');
    }
    return false;
}

/* *mends: it can be mended by --allow, and was. */
static int differ(trainer *self, const char *name, const char *saved, const char *now,
                  ls_error *error) {
    if (!is_allowed(self, name, strlen(name)))
        return ls_fail(error, LS_BAD_INPUT,
                       "--resume: --%s was %s when %s was saved and is %s now: expected the same "
                       "(--allow %s takes it, --resume none begins anew)",
                       name, saved[0] ? saved : "not given", self->resumed.from.folder,
                       now[0] ? now : "not given", name);
    text_add(&self->resumed.notes, "warning  --%s was %s and is %s now (--allow)\n", name,
             saved[0] ? saved : "not given", now[0] ? now : "not given");
    return LS_OK;
}

/* The value of a line "name=value", cut to what a text has room for; false: no such line. */
static bool value_of(const char *text, const char *name, size_t length, char out[256]) {
    out[0] = '\0';
    for (const char *line = text; *line; line += strcspn(line, "\n"), line += *line == '\n')
        if (strncmp(line, name, length) == 0 && line[length] == '=') {
            const char *value = line + length + 1;
            snprintf(out, 256, "%.*s", (int)strcspn(value, "\n"), value);
            return true;
        }
    return false;
}

static int compare_options(trainer *self, const char *saved, ls_error *error) {
    for (const char *line = self->options_text; *line;
         line += strcspn(line, "\n"), line += *line == '\n') {
        size_t length = strcspn(line, "=");
        char before[256], now[256], name[64];
        if (is_free(line, length))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)length, line);
        bool known = value_of(saved, line, length, before); /* else an option of a later version */
        value_of(self->options_text, line, length, now);
        if (known && strcmp(before, now) != 0)
            LS_TRY(differ(self, name, before, now, error));
    }
    return LS_OK;
}

static int compare_text(trainer *self, const char *value, const char *option, const char *now,
                        ls_error *error) {
    const char *saved;
    LS_TRY(record_get_text(&self->resumed.from.manifest.state, self->resumed.where, value, &saved,
                           error));
    return strcmp(saved, now) == 0 ? LS_OK : differ(self, option, saved, now, error);
}

/* What decides which images a position in an epoch stands for. */
static int compare_order(trainer *self, ls_error *error) {
    const checkpoint_manifest *manifest = &self->resumed.from.manifest;
    int64_t batch, images, seed;
    const char *where = self->resumed.where;
    LS_TRY(
        record_get_integer(&manifest->state, where, "global_batch", 1, INT64_MAX, &batch, error));
    LS_TRY(
        record_get_integer(&manifest->state, where, "train_images", 1, INT64_MAX, &images, error));
    LS_TRY(trainer_take_saved_batch(self, batch, error));
    LS_TRY(record_get_integer(&manifest->state, where, "seed", INT64_MIN, INT64_MAX, &seed, error));
    if (batch != self->global_batch) {
        char before[32], now[32];
        snprintf(before, sizeof before, "%" PRId64, batch);
        snprintf(now, sizeof now, "%" PRId64, self->global_batch);
        LS_TRY(differ(self, "global-batch", before, now, error));
    }
    bool same = batch == self->global_batch && seed == self->settings->seed &&
                images == self->input.train.data->facts.samples;
    if (manifest->position == 0 ||
        (same && (manifest->position % batch == 0 || manifest->position == images)))
        return LS_OK;
    return ls_fail(error, LS_BAD_INPUT,
                   "--resume: %s was saved in the middle of epoch %" PRId64
                   ": with another order of its images it cannot go on (take one of an epoch's "
                   "end)",
                   self->resumed.from.folder, manifest->epoch);
}

int trainer_compare_saved(trainer *self, ls_error *error) {
    const record *state = &self->resumed.from.manifest.state;
    const char *options, *program;
    char now[32];
    LS_TRY(record_get_text(state, self->resumed.where, "options", &options, error));
    LS_TRY(record_get_text(state, self->resumed.where, "program", &program, error));
    LS_TRY(compare_options(self, options, error));
    LS_TRY(compare_text(self, "train_data", "data", self->input.train.data->facts.id, error));
    LS_TRY(compare_text(self, "test_data", "data", self->input.test.data->facts.id, error));
    LS_TRY(compare_order(self, error));
    snprintf(now, sizeof now, "%016" PRIx64, launch_program_hash());
    if (strcmp(program, now) != 0)
        text_add(&self->resumed.notes,
                 "warning  saved by another program (%s; this is %s): the bits may differ\n",
                 program, now);
    return text_buffer_check(&self->resumed.notes, error);
}
